//! The help of the commands, which fits a terminal of 80 columns.

use clap::{Arg, Command, builder::StyledStr};

/// The maximum width of a line, in columns.
const WIDTH: usize = 80;

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed or invalid, 2 usage error, 3 undetermined";

/// Completes the help of a program and its commands.
///
/// The help of the program describes the global options. The help of each command has only a line
/// for each of them, after the command's own options.
pub(crate) fn complete(program: Command) -> Command {
    let globals = program.get_arguments().filter(|arg| arg.is_global_set());
    let globals: Vec<Arg> = globals.cloned().collect();
    let hidden: Vec<Arg> = globals
        .iter()
        .map(|arg| arg.clone().hide_short_help(true).hide_long_help(true))
        .collect();
    let footer = footer(&program, &globals);
    program
        .max_term_width(WIDTH)
        .mut_args(|arg| {
            let is_global = arg.is_global_set();
            arg.hide_short_help(is_global)
        })
        .after_help(footer.clone())
        .after_long_help(EXIT_CODES)
        .mut_subcommands(|command| complete_command(command, &hidden, &footer))
}

fn complete_command(command: Command, hidden: &[Arg], footer: &StyledStr) -> Command {
    command
        .args(hidden)
        .after_help(footer.clone())
        .mut_subcommands(|command| complete_command(command, hidden, footer))
}

/// Returns a line for each global option, and the exit codes.
fn footer(program: &Command, globals: &[Arg]) -> StyledStr {
    let styles = program.get_styles();
    let (header, literal) = (styles.get_header(), styles.get_literal());
    let names: Vec<_> = globals.iter().map(names).collect();
    let width = names.iter().map(|(long, value)| long.len() + value.len());
    let width = width.max().unwrap_or(0);
    let mut text = format!("{header}Global options:{header:#}\n");
    for ((long, value), arg) in names.iter().zip(globals) {
        let blanks = width.saturating_sub(long.len() + value.len());
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        text.push_str(&format!(
            "  {literal}{long}{literal:#}{value}{:blanks$}  {help}\n",
            ""
        ));
    }
    text.push_str("Each is also a variable, such as KEYWRIGHT_STORE: see `keywright help`.\n\n");
    text.push_str(EXIT_CODES);
    text.into()
}

/// Returns the option and its value, as in `--store` and ` <URL>`.
fn names(arg: &Arg) -> (String, String) {
    let long = format!("--{}", arg.get_long().unwrap_or_default());
    let values = arg.get_value_names().unwrap_or_default();
    let value = values.iter().map(|name| format!(" <{name}>")).collect();
    (long, value)
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use crate::cli::{command, parse_once};

    /// Passes the words of each command and its help, short and long, to `check`.
    fn for_each_help(check: &mut impl FnMut(&[String], &str, &str)) {
        fn walk(
            command: &clap::Command,
            path: &[String],
            check: &mut impl FnMut(&[String], &str, &str),
        ) {
            let help = |option: &str| {
                let words = [path, &[option.to_owned()]].concat();
                let words: Vec<_> = words.into_iter().map(Into::into).collect();
                parse_once(&words).err().unwrap().to_string()
            };
            check(path, &help("-h"), &help("--help"));
            for subcommand in command.get_subcommands() {
                let path = [path, &[subcommand.get_name().to_owned()]].concat();
                walk(subcommand, &path, check);
            }
        }
        walk(&command(), &["keywright".into()], check);
    }

    #[test]
    fn no_line_is_wider_than_80_columns() {
        let mut commands = 0;
        for_each_help(&mut |path, short, long| {
            for line in short.lines().chain(long.lines()) {
                assert!(line.width() <= 80, "{path:?}: {line}");
            }
            commands += 1;
        });
        assert!(commands > 20, "{commands}");
    }

    #[test]
    fn a_command_shows_its_own_options_first_and_a_line_for_each_global_one() {
        for_each_help(&mut |path, short, long| {
            if path.len() == 1 {
                return;
            }
            for help in [short, long] {
                let (own, globals) = help.split_once("\nGlobal options:\n").unwrap();
                assert!(!own.contains("--store <URL>"), "{path:?}: {own}");
                let options = globals.lines().take_while(|line| !line.starts_with("Each"));
                let options: Vec<_> = options.collect();
                assert!(options.len() >= 8, "{globals}");
                for option in options {
                    assert!(option.starts_with("  --"), "{path:?}: {option}");
                }
                assert!(help.trim_end().ends_with("3 undetermined"), "{help}");
            }
        });
    }

    /// Splits a line of a shell into words, without its pipes and redirections.
    fn words(line: &str) -> Vec<String> {
        let line = line.split([';', '|', '<', '>']).next().unwrap();
        let mut words = vec![String::new()];
        let mut quoted = false;
        for character in line.trim().chars() {
            match character {
                '\'' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                other => words.last_mut().unwrap().push(other),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    #[test]
    fn each_command_has_examples_that_it_accepts() {
        for_each_help(&mut |path, _, long| {
            let joined = long.replace("\\\n", "");
            let lines = joined.lines().filter(|line| line.starts_with("    "));
            let examples: Vec<_> = lines
                .map(words)
                .filter(|words| words.first().is_some_and(|word| word == "keywright"))
                .collect();
            assert!(!examples.is_empty(), "{path:?}: {long}");
            for example in examples {
                assert!(
                    example.starts_with(path) || path.len() == 1,
                    "{path:?}: {example:?}"
                );
                let id = |word: &String| match word.as_str() {
                    "ID" => "key_0U5lKtf600000000".into(),
                    word => word.into(),
                };
                let parsed = parse_once(&example.iter().map(id).collect::<Vec<_>>());
                assert!(parsed.is_ok(), "{example:?}: {}", parsed.err().unwrap());
            }
        });
    }
}
