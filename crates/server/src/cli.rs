//! Parses the command line.

use std::{ffi::OsString, process::ExitCode};

use clap::{
    CommandFactory, FromArgMatches, Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{
    events::options::EventsOptions,
    help,
    keys::options::KeysCommand,
    manual::{CompletionsOptions, ManOptions},
    options::{
        BackupOptions, CopyOptions, ImportOptions, LibraryOptions, MigrateOptions, PurgeOptions,
    },
    output, redact,
    serve_options::ServeOptions,
};

/// An API-key server, and the command line to manage its keys.
///
/// Without a command, keywright serves the API on http://127.0.0.1:8080 and keeps
/// the keys in the file keywright.db. The first start on a terminal creates a key
/// and prints its token, once:
///
///     keywright
///     curl -X POST http://127.0.0.1:8080/v1/api-keys \
///       -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" \
///       -d '{"name": "Production Server"}'
///
/// An option marked [env: NAME=] can also be set with that environment variable.
///
/// Lists fit the width of a terminal. In a pipe, they have the same columns each
/// time, whole values, and no colours. NO_COLOR is respected. Programs read --json.
///
/// A command exits with 0 if it succeeds. 1 means that it failed, or for
/// `keys verify` that the token is invalid. 3 means that the result is
/// undetermined, for example because the store did not respond: check the store
/// before you repeat the command.
#[derive(Parser)]
#[command(name = "keywright", version, verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(flatten)]
    library: LibraryOptions,
    #[command(subcommand)]
    command: Option<Command>,
}

/// A parsed command line.
pub(crate) struct Cli {
    pub(crate) library: LibraryOptions,
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serve the API (the default command)
    ///
    ///     keywright serve --listen 127.0.0.1:8080 --store sqlite:keywright.db
    ///     keywright serve --prefix acme --log-format json
    ///
    /// Ctrl-C or SIGTERM stops the server after the requests in flight.
    #[command(verbatim_doc_comment)]
    Serve(ServeOptions),
    /// Manage keys in the store, with or without a running server
    ///
    ///     keywright keys create --name CI --permissions calls:read --expires-in 90d
    ///     keywright keys list --status active
    ///
    /// These commands need no API key: access to the store is enough.
    #[command(subcommand, verbatim_doc_comment)]
    Keys(KeysCommand),
    /// Show who changed which key, when and how, newest first
    ///
    ///     keywright events --owner user:42 --limit 20
    ///     keywright events --key ID --json
    ///     keywright events --follow
    ///
    /// The events of a key remain after `keywright purge` has deleted its record.
    /// A narrow terminal shows fewer columns: use --wide to see all of them. --json
    /// prints a JSON object on each line, as the API returns it.
    #[command(verbatim_doc_comment)]
    Events(EventsOptions),
    /// Create or update the tables of a PostgreSQL store
    ///
    ///     keywright migrate --store postgres://owner@db.example.com/app
    ///     keywright migrate --print --store postgres: > 0001_keywright.sql
    ///
    /// `serve` and the other commands never change tables, so their role needs no right
    /// to create them. Several programs may migrate at the same time. --print connects
    /// to no server: pass its SQL to your own migration tool. A SQLite store migrates
    /// when a program opens it, and a Redis store has no tables.
    #[command(verbatim_doc_comment)]
    Migrate(MigrateOptions),
    /// Copy all keys into another store, while servers use the first one
    ///
    ///     keywright copy --from sqlite:k.db --to postgres://owner@db/app
    ///     keywright copy --from sqlite:k.db --to postgres://owner@db/app --finish
    ///
    /// Each run copies the changes since the last one. Until --finish, no server can
    /// use the target. --finish seals the source: its servers still verify keys,
    /// and reject every change. Then start the servers of the target, move the traffic,
    /// and stop the servers of the source, which do not see changes in the target.
    ///
    /// For each workspace, copy prints the number of keys and events, and a digest of
    /// them. If the stores differ, --finish fails, and the source is usable again.
    #[command(verbatim_doc_comment)]
    Copy(CopyOptions),
    /// Copy a SQLite store into a new file, even while a server uses it
    ///
    ///     keywright backup /backup/keywright-2026-01-31.db
    ///
    /// To restore a backup, stop every program that uses the store, delete the
    /// store's file with its -wal and -shm, and move the backup to its path. Keys
    /// that were revoked after the backup are active again: revoke them again.
    #[command(verbatim_doc_comment)]
    Backup(BackupOptions),
    /// Import keys of another system from standard input
    ///
    ///     keywright import --format unkey --dry-run < keys.jsonl
    ///     keywright import --format sanctum --retire-by 2027-06-30 < keys.jsonl
    ///
    /// Each line is a JSON object. `hash`, `name` and `permissions` are required;
    /// `public_part`, `owner`, `environment`, `created_at`, `expires_at`, `enabled`,
    /// `allowed_ips` and `metadata` are optional. Servers accept the tokens if they
    /// run with --foreign-format. They never accept a token in the format of their own
    /// keys as an imported one.
    ///
    /// The command skips a key that is present with the same content, so after an
    /// interruption, run it again. It reports each line that fails on standard error,
    /// with its number, and imports the others.
    #[command(verbatim_doc_comment)]
    Import(ImportOptions),
    /// Delete the records of old keys, or old events
    ///
    ///     keywright purge --revoked-before 2026-01-31 --expired-before 365d
    ///     keywright purge --events-before 400d
    ///
    /// Deletes the keys that were revoked or expired before the time that you give, but
    /// keeps each for 24 hours, and as long as one of its descendants remains: its
    /// successor, a key that it created, or a key that it received by rotating another.
    /// If no key is left, the next start of `keywright serve` creates a first key.
    /// Events of deleted keys remain.
    #[command(verbatim_doc_comment)]
    Purge(PurgeOptions),
    /// Print the OpenAPI document of the API
    ///
    ///     keywright openapi > openapi.json
    ///
    /// It is the document that the server returns at /openapi.json.
    #[command(verbatim_doc_comment)]
    Openapi,
    /// Print the completions of a shell
    ///
    ///     keywright completions bash > /etc/bash_completion.d/keywright
    ///     keywright completions zsh > /usr/share/zsh/site-functions/_keywright
    ///     keywright completions fish > ~/.config/fish/completions/keywright.fish
    #[command(verbatim_doc_comment)]
    Completions(CompletionsOptions),
    /// Print the manual page, or write those of all commands
    ///
    ///     keywright man | man -l -
    ///     keywright man --dir /usr/local/share/man/man1
    #[command(verbatim_doc_comment)]
    Man(ManOptions),
}

/// Parses the command line. Without a command, the command is `serve`.
///
/// # Errors
///
/// The exit code of the program, after it has printed the help, the version or a usage error.
pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Cli, ExitCode> {
    let mut arguments: Vec<OsString> = arguments.collect();
    let mut parsed = parse_once(&arguments);
    let is_unknown = |error: &clap::Error| error.kind() == ErrorKind::UnknownArgument;
    if parsed
        .as_ref()
        .map_or_else(is_unknown, |parsed| parsed.command.is_none())
    {
        arguments.insert(arguments.len().min(1), "serve".into());
        // If `serve` does not know an argument either, report the error of the original arguments,
        // unless it is a misspelt option of `serve`.
        parsed = match parse_once(&arguments) {
            Err(error) if is_unknown(&error) && suggestion(&error).is_none() => {
                arguments.remove(1);
                parsed
            }
            served => served,
        };
    }
    let parsed = parsed.map_err(|error| report(&error, &arguments))?;
    let Arguments { library, command } = parsed;
    // There is a command here, because `serve` was inserted if there was none.
    command
        .map(|command| Cli { library, command })
        .ok_or(ExitCode::FAILURE)
}

/// Returns the definition of the command line.
pub(crate) fn command() -> clap::Command {
    help::complete(Arguments::command())
}

pub(crate) fn parse_once(arguments: &[OsString]) -> Result<Arguments, clap::Error> {
    command()
        .try_get_matches_from(arguments)
        .and_then(|matches| Arguments::from_arg_matches(&matches))
}

/// Prints help and version, and a usage error as one line.
fn report(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        return match error.print() {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                output::note(&format!("error: cannot write to standard output: {error}"));
                ExitCode::FAILURE
            }
            // A closed pipe is not an error: the reader has seen enough.
            _ => ExitCode::SUCCESS,
        };
    }
    let command = command_of(arguments);
    let problem = if matches!(
        error.kind(),
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        format!("error: `{command}` needs a command, such as `{command} create`")
    } else {
        let text = error.render().to_string();
        let lines = text.lines().map(str::trim).take_while(|line| {
            !["Usage:", "For more", "tip:"]
                .iter()
                .any(|end| line.starts_with(end))
        });
        let sentence: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
        sentence.join(" ")
    };
    let hint = suggestion(error).map_or_else(String::new, |similar| {
        format!(" (did you mean '{similar}'?)")
    });
    output::note(&format!(
        "{}; see {command} --help",
        redact::tokens(&format!("{problem}{hint}"))
    ));
    ExitCode::from(2)
}

/// Returns what the user probably meant instead of an unknown command, option or value.
fn suggestion(error: &clap::Error) -> Option<&str> {
    let kinds = [
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedArg,
        ContextKind::SuggestedValue,
    ];
    kinds.iter().find_map(|kind| match error.get(*kind)? {
        ContextValue::String(similar) => Some(similar.as_str()),
        // The last one is the most similar.
        ContextValue::Strings(similar) => similar.last().map(String::as_str),
        _ => None,
    })
}

/// Returns the command that the arguments name, such as `keywright keys list`.
fn command_of(arguments: &[OsString]) -> String {
    let program = command();
    let mut command = &program;
    let mut path = program.get_name().to_owned();
    for argument in arguments.iter().skip(1) {
        if let Some(subcommand) = command.find_subcommand(argument) {
            command = subcommand;
            path = format!("{path} {}", command.get_name());
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clap_definition_is_consistent() {
        command().debug_assert();
    }

    /// Options that take JSON, in which line breaks are white space.
    const JSON: [&str; 2] = ["metadata", "attributes"];

    /// Parses `value` as each option and argument of a command and its subcommands in turn, and
    /// passes the path of the option and the error to `check`.
    fn for_each_option(
        command: &clap::Command,
        path: &[String],
        value: &str,
        check: &mut impl FnMut(&str, &str),
    ) {
        for arg in command.get_arguments() {
            if !arg.get_action().takes_values() || JSON.contains(&arg.get_id().as_str()) {
                continue;
            }
            let given = match arg.get_long() {
                Some(long) => format!("--{long}={value}"),
                None => value.to_owned(),
            };
            let arguments = [path, &[given]].concat();
            let arguments: Vec<_> = arguments.iter().map(OsString::from).collect();
            let error = parse_once(&arguments)
                .err()
                .map_or_else(String::new, |error| error.to_string());
            check(&format!("{} {}", path.join(" "), arg.get_id()), &error);
        }
        for subcommand in command.get_subcommands() {
            let path = [path, &[subcommand.get_name().to_owned()]].concat();
            for_each_option(subcommand, &path, value, check);
        }
    }

    #[test]
    fn no_option_accepts_a_control_character() {
        let command = command();
        let mut options = 0;
        for bad in ["a\rb", "a\nb", "a\u{1b}[31mb", "a\u{85}b"] {
            for_each_option(
                &command,
                &["keywright".into()],
                bad,
                &mut |option, error| {
                    assert!(error.contains("control character"), "{option}: {error}");
                    assert!(!error.contains(bad), "{option} repeats the value: {error}");
                    options += 1;
                },
            );
        }
        assert!(options > 100, "{options}");
    }

    #[test]
    fn white_space_around_a_value_is_ignored() {
        let command = command();
        for blank in ["\r", " \r\n", "\t"] {
            for_each_option(
                &command,
                &["keywright".into()],
                blank,
                &mut |option, error| {
                    assert!(!error.contains("control character"), "{option}: {error}");
                },
            );
        }
        let arguments = ["keywright", "--store= sqlite:k.db\r", "--cache", "5\r\n"];
        let cli = parse(arguments.iter().map(OsString::from)).unwrap();
        assert_eq!(cli.library.store, "sqlite:k.db");
        assert_eq!(cli.library.cache, 5);
    }

    #[test]
    fn a_usage_error_suggests_what_was_meant_and_names_the_help_of_the_command() {
        let error = |line: &str| {
            let arguments: Vec<OsString> = line.split(' ').map(Into::into).collect();
            let error = parse_once(&arguments).err().unwrap();
            (suggestion(&error).map(String::from), command_of(&arguments))
        };
        for (line, meant, command) in [
            ("keywright keys lst", Some("list"), "keywright keys"),
            ("keywright evnts", Some("events"), "keywright"),
            (
                "keywright keys list --stats active",
                Some("--status"),
                "keywright keys list",
            ),
            (
                "keywright keys list --status activ",
                Some("active"),
                "keywright keys list",
            ),
            (
                "keywright --stor x backup y",
                Some("--store"),
                "keywright backup",
            ),
            (
                "keywright serve --lisen :1",
                Some("--listen"),
                "keywright serve",
            ),
            ("keywright keys get", None, "keywright keys get"),
        ] {
            assert_eq!(
                error(line),
                (meant.map(String::from), command.into()),
                "{line}"
            );
        }
    }

    #[test]
    fn a_command_line_without_a_command_serves() {
        for arguments in [
            &["keywright"][..],
            &["keywright", "--prefix", "acme"],
            &["keywright", "--listen", "[::1]:80", "--prefix", "acme"],
        ] {
            let cli = parse(arguments.iter().map(OsString::from)).unwrap();
            assert!(matches!(cli.command, Command::Serve(_)));
        }
    }
}
