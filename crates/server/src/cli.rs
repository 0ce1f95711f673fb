//! The command line.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum, error::ErrorKind};
use keywright_core::{Prefix, Scheme};

use crate::keys::KeysCommand;

/// API keys: a server, and the operator's way in.
///
/// Without a command it serves the API on http://127.0.0.1:8080 and keeps the keys in the file
/// keywright.db. The first start on a terminal prints the first key, once:
///
///   keywright
///   curl -X POST http://127.0.0.1:8080/v1/api-keys \
///     -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" \
///     -d '{"name": "Production Server"}'
///
/// Options that name a variable in brackets can also be set by it in the environment.
#[derive(Parser)]
#[command(name = "keywright", version, verbatim_doc_comment)]
struct Parsed {
    #[command(flatten)]
    library: LibraryOptions,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What the user has asked for.
pub(crate) struct Cli {
    pub(crate) library: LibraryOptions,
    pub(crate) command: Command,
}

#[derive(Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct LibraryOptions {
    /// Where keys are kept: sqlite:PATH (then ?sharing=strict or =exclusive), redis://HOST:PORT or memory:
    #[arg(
        long,
        env = "KEYWRIGHT_STORE",
        value_name = "URL",
        default_value = "sqlite:keywright.db",
        hide_env_values = true,
        global = true
    )]
    pub(crate) store: String,

    /// What every token begins with; your own, and never changed once keys are out
    #[arg(long, env = "KEYWRIGHT_PREFIX", default_value = "sk", global = true)]
    pub(crate) prefix: Prefix,

    /// How the secrets of new keys are hashed; older keys verify all the same
    #[arg(long, env = "KEYWRIGHT_HASH", value_enum, default_value_t = Hash::Argon2id, global = true)]
    pub(crate) hash: Hash,

    /// How many verified keys are remembered in memory, at about 400 bytes each; 0 is none
    #[arg(
        long,
        env = "KEYWRIGHT_CACHE",
        value_name = "KEYS",
        default_value_t = 100_000,
        global = true
    )]
    pub(crate) cache: usize,

    /// File with the peppers: a line `ID HEX-KEY` for each, the newest last, keys of 32 to 64 bytes
    #[arg(
        long,
        env = "KEYWRIGHT_PEPPER_FILE",
        value_name = "PATH",
        global = true
    )]
    pub(crate) pepper_file: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Hash {
    /// Argon2id, 19 MiB, 2 passes: about 15 ms of a core to create or to verify a key
    Argon2id,
    /// HMAC-SHA-256: about a microsecond, and as strong for secrets of 256 random bits
    HmacSha256,
}

impl From<Hash> for Scheme {
    fn from(hash: Hash) -> Self {
        match hash {
            Hash::Argon2id => Self::default(),
            Hash::HmacSha256 => Self::HmacSha256,
        }
    }
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serve the API (this is what happens without a command)
    Serve(ServeOptions),
    /// Manage keys as the operator: needs no key, works beside a running server
    #[command(subcommand)]
    Keys(KeysCommand),
}

impl Command {
    /// What to exit with if it could not be done. For `verify`, 1 is that a token is worth nothing.
    pub(crate) fn exit_on_error(&self) -> ExitCode {
        match self {
            Self::Keys(KeysCommand::Verify(_)) => ExitCode::from(3),
            _ => ExitCode::FAILURE,
        }
    }
}

#[derive(Args)]
pub(crate) struct ServeOptions {
    /// Address and port to listen on
    #[arg(
        long,
        env = "KEYWRIGHT_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:8080"
    )]
    pub(crate) listen: SocketAddr,

    /// Requests a minute that each caller may make to the management endpoints; `POST /verify` is not
    /// among them; 0 is no limit
    #[arg(
        long,
        env = "KEYWRIGHT_RATE_LIMIT",
        value_name = "N",
        default_value_t = 600,
        allow_negative_numbers = true
    )]
    pub(crate) rate_limit: u32,

    /// Whether an empty store gets a first key (workspace `default`, permissions `*`), printed once
    /// alone on a line of standard output
    #[arg(long, env = "KEYWRIGHT_FIRST_KEY", value_enum, default_value_t = FirstKey::Auto)]
    pub(crate) first_key: FirstKey,

    /// Form of the log on standard error
    #[arg(long, env = "KEYWRIGHT_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,

    /// Least level that is logged
    #[arg(long, env = "KEYWRIGHT_LOG_LEVEL", value_enum, default_value_t = LogLevel::Info)]
    pub(crate) log_level: LogLevel,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FirstKey {
    /// Only where standard output is a terminal, so that it never ends up in a collected log
    Auto,
    /// Always
    Print,
    /// Never
    None,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people
    Text,
    /// A JSON object on each line
    Json,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// Reads the command line; without a command, `serve` is meant.
///
/// # Errors
///
/// What to exit with, once help, version or a line about a mistake has been printed.
pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Cli, ExitCode> {
    let mut arguments: Vec<OsString> = arguments.collect();
    let mut parsed = parse_once(&arguments);
    let unknown = |error: &clap::Error| error.kind() == ErrorKind::UnknownArgument;
    if parsed
        .as_ref()
        .map_or_else(unknown, |parsed| parsed.command.is_none())
    {
        arguments.insert(arguments.len().min(1), "serve".into());
        // An argument that `serve` does not know either is told as it was written.
        parsed = parse_once(&arguments)
            .or_else(|error| if unknown(&error) { parsed } else { Err(error) });
    }
    let parsed = parsed.map_err(|error| report(&error))?;
    let Parsed { library, command } = parsed;
    // With `serve` at the end there is a command.
    command
        .map(|command| Cli { library, command })
        .ok_or(ExitCode::FAILURE)
}

fn parse_once(arguments: &[OsString]) -> Result<Parsed, clap::Error> {
    Parsed::command()
        .try_get_matches_from(arguments)
        .and_then(|matches| Parsed::from_arg_matches(&matches))
}

/// Prints help and version as they are, and a mistake as one line.
fn report(error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        // A reader that has gone away has seen enough.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        eprintln!("error: a command is missing, such as `keys create`; see keywright --help");
        return ExitCode::from(2);
    }
    let text = error.render().to_string();
    let sentence: Vec<&str> = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
        .filter(|line| !line.is_empty())
        .collect();
    eprintln!("{}; see keywright --help", redacted(&sentence.join(" ")));
    ExitCode::from(2)
}

/// The text without what may be a token, which somebody has given as an argument: a log may keep
/// what is said of it.
pub(crate) fn redacted(text: &str) -> String {
    let is_of_token = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let may_be_token =
        |word: &str| word.len() >= 40 || word.contains("_live_") || word.contains("_test_");
    text.split_inclusive(|character| !is_of_token(character))
        .map(|piece| {
            let word = piece.trim_end_matches(|character| !is_of_token(character));
            if may_be_token(word) {
                format!("…{}", piece.strip_prefix(word).unwrap_or_default())
            } else {
                piece.to_owned()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Parsed::command().debug_assert();
    }

    #[test]
    fn a_token_in_a_mistake_is_not_repeated() {
        let token = format!("acme_live_{}", "x".repeat(65));
        assert_eq!(redacted(&format!("'{token}' is odd")), "'…' is odd");
        assert_eq!(redacted("--id=sk_test_1; x"), "--id=…; x");
        assert_eq!(redacted(&"x".repeat(40)), "…");
        let harmless = "error: 'key_0U5lKtf600000000' is none";
        assert_eq!(redacted(harmless), harmless);
    }

    #[test]
    fn no_command_is_serve_also_with_options() {
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
