//! Parses the command line.

use std::{ffi::OsString, process::ExitCode};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind};

use crate::{
    events::options::EventsOptions,
    keys::options::KeysCommand,
    options::{BackupOptions, CopyOptions, LibraryOptions, MigrateOptions, ServeOptions},
    redact,
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
/// keywright exits with 0 (success), 1 (failure) or 2 (usage error). `keys verify`
/// exits with 0 (valid), 1 (invalid), 2 (usage error) or 3 (undetermined).
#[derive(Parser)]
#[command(name = "keywright", version, verbatim_doc_comment)]
struct Arguments {
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
    Serve(ServeOptions),
    /// Manage keys directly in the store, with or without a running server
    ///
    /// These commands need no API key: access to the store is enough.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Show who changed which key, when and how, newest first
    ///
    ///     keywright events --owner user:42 --limit 20
    ///     keywright events --key ID --json
    ///     keywright events --follow
    ///
    /// The events of a key remain after `keys purge` has deleted its record. --json
    /// prints a JSON object on each line, as the API returns it.
    #[command(verbatim_doc_comment)]
    Events(EventsOptions),
    /// Create or update the tables of a PostgreSQL store
    ///
    ///     keywright migrate --store postgres://owner@db.example.com/app
    ///     keywright migrate --print --store postgres: > 0001_keywright.sql
    ///
    /// `serve` and the other commands never change tables, so their role needs no right
    /// to create them. Several programs may migrate at the same time. With --print, the
    /// SQL is for your own migration tool, and no connection is made. A SQLite store
    /// migrates when it is opened, and a Redis store has no tables.
    #[command(verbatim_doc_comment)]
    Migrate(MigrateOptions),
    /// Copy all keys into another store, while servers use the first one
    ///
    ///     keywright copy --from sqlite:keywright.db --to postgres://owner@db/app
    ///     keywright copy --from sqlite:keywright.db --to postgres://owner@db/app --finish
    ///
    /// Each run carries what has changed since the last one. Until --finish, no server
    /// can use the target. --finish seals the source: its servers still verify keys,
    /// and reject every change. Then start the servers of the target, move the traffic,
    /// and stop the servers of the source, which do not see later changes.
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
}

impl Command {
    /// The exit code if the command fails. `verify` uses 1 for an invalid token.
    pub(crate) fn exit_on_error(&self) -> ExitCode {
        match self {
            Self::Keys(KeysCommand::Verify(_)) => ExitCode::from(3),
            _ => ExitCode::FAILURE,
        }
    }
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
        // If `serve` does not know an argument either, report the error of the original arguments.
        parsed = parse_once(&arguments).or_else(|error| {
            if is_unknown(&error) {
                parsed
            } else {
                Err(error)
            }
        });
    }
    let parsed = parsed.map_err(|error| report(&error))?;
    let Arguments { library, command } = parsed;
    // There is a command here, because `serve` was inserted if there was none.
    command
        .map(|command| Cli { library, command })
        .ok_or(ExitCode::FAILURE)
}

fn parse_once(arguments: &[OsString]) -> Result<Arguments, clap::Error> {
    Arguments::command()
        .try_get_matches_from(arguments)
        .and_then(|matches| Arguments::from_arg_matches(&matches))
}

/// Prints help and version unchanged, and a usage error as one line.
fn report(error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        // A closed pipe is not an error: the reader has seen enough.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        eprintln!(
            "error: `keywright keys` needs a command, such as `keys create`; see keywright --help"
        );
        return ExitCode::from(2);
    }
    let text = error.render().to_string();
    let sentence: Vec<&str> = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
        .filter(|line| !line.is_empty())
        .collect();
    eprintln!(
        "{}; see keywright --help",
        redact::tokens(&sentence.join(" "))
    );
    ExitCode::from(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clap_definition_is_consistent() {
        Arguments::command().debug_assert();
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
        let command = Arguments::command();
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
        let command = Arguments::command();
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
