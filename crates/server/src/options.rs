//! The options of the commands without subcommands, except `serve`, and the options that every
//! command shares.

use std::{path::PathBuf, time::Duration};

use clap::{
    ArgGroup, Args, ValueEnum,
    builder::{PathBufValueParser, StringValueParser},
};
use keywright_core::{Prefix, Scheme, Timestamp, Workspace};
use keywright_store_postgres::PostgresConfig;

use crate::{
    clean_value::{choice, clean, parsed},
    dates::{date, date_or_age},
    foreign::NamedFormat,
};

#[derive(Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct LibraryOptions {
    /// Store: sqlite:PATH, postgres://…, redis://… or memory:
    ///
    /// The URLs are postgres://USER@HOST/DATABASE and redis://HOST:PORT.
    /// sqlite:PATH?sharing=strict reads the file for each verification, and with
    /// sqlite:PATH?sharing=exclusive no other process may open it. Put a password into
    /// the variable: other users of the host can read the arguments of a process.
    #[arg(
        long,
        env = "KEYWRIGHT_STORE",
        value_name = "URL",
        default_value = "sqlite:keywright.db",
        hide_env_values = true,
        global = true,
        value_parser = clean(StringValueParser::new())
    )]
    pub(crate) store: String,

    /// Prefix of every token: choose it before the first key
    #[arg(
        long,
        env = "KEYWRIGHT_PREFIX",
        default_value = "sk",
        global = true,
        value_parser = parsed::<Prefix>()
    )]
    pub(crate) prefix: Prefix,

    /// Hash for new keys; keys with another hash still verify
    #[arg(
        long,
        env = "KEYWRIGHT_HASH",
        value_enum,
        default_value_t = Hash::Argon2id,
        global = true,
        value_parser = choice::<Hash>()
    )]
    pub(crate) hash: Hash,

    /// Number of verified keys to cache; 0 disables the cache
    ///
    /// A key usually takes about 400 bytes.
    #[arg(
        long,
        env = "KEYWRIGHT_CACHE",
        value_name = "KEYS",
        default_value_t = 100_000,
        global = true,
        value_parser = parsed::<usize>()
    )]
    pub(crate) cache: usize,

    /// Memory for cached keys, in bytes
    ///
    /// A key with the largest metadata takes 12 KiB.
    #[arg(
        long,
        env = "KEYWRIGHT_CACHE_BYTES",
        value_name = "BYTES",
        default_value_t = 67_108_864,
        global = true,
        value_parser = parsed::<usize>()
    )]
    pub(crate) cache_bytes: usize,

    /// Longest lifetime of a key, such as 365d
    ///
    /// A later expiry is rejected. A key that is created without an expiry, or whose
    /// expiry is removed, gets the latest one allowed. Existing keys keep theirs.
    #[arg(
        long,
        env = "KEYWRIGHT_MAX_LIFETIME",
        value_name = "SPAN",
        global = true,
        value_parser = clean(max_lifetime)
    )]
    pub(crate) max_lifetime: Option<Duration>,

    /// How long to keep events, such as 400d; 0 writes none
    ///
    /// `serve` deletes older events. With 0, commands write no events, and `serve` deletes
    /// none: set it for the server and for the commands.
    #[arg(
        long,
        env = "KEYWRIGHT_KEEP_EVENTS",
        value_name = "SPAN",
        default_value = "400d",
        global = true,
        value_parser = clean(keep_events)
    )]
    pub(crate) keep_events: Duration,

    /// Pepper file: `ID HEX-KEY` on each line, newest last
    ///
    /// HEX-KEY is 32 to 64 bytes in hexadecimal. Only the owner of the file may have access to it
    /// (chmod 600). If root is the owner, its group may read it.
    #[arg(
        long,
        env = "KEYWRIGHT_PEPPER_FILE",
        value_name = "PATH",
        global = true,
        value_parser = clean(PathBufValueParser::new())
    )]
    pub(crate) pepper_file: Option<PathBuf>,

    /// Format of imported tokens to accept; repeatable
    ///
    /// unkey, sanctum, better-auth, drf-api-key, prefixed-api-key or sha256-hex. At most four.
    /// `unkey:acme_` accepts only tokens that begin with `acme_`, and rejects others without a
    /// read of the store. For the table of another program: sha256 or sha512 is a digest of the
    /// token, `sha256/_` a digest of the part after its last `_`, and `password/_` is bcrypt,
    /// Argon2 or PBKDF2 of the part after its first `_`, with a public part before it.
    #[arg(
        long,
        env = "KEYWRIGHT_FOREIGN_FORMAT",
        value_name = "FMT",
        value_delimiter = ',',
        global = true,
        value_parser = parsed::<NamedFormat>()
    )]
    pub(crate) foreign_format: Vec<NamedFormat>,

    #[command(flatten)]
    pub(crate) postgres: PostgresOptions,
}

/// The options of a PostgreSQL store. If one is missing, the default of the store applies.
#[derive(Clone, Args)]
pub(crate) struct PostgresOptions {
    /// PostgreSQL: schema of the tables, keywright by default
    #[arg(
        long,
        env = "KEYWRIGHT_SCHEMA",
        value_name = "NAME",
        global = true,
        value_parser = clean(schema)
    )]
    pub(crate) schema: Option<String>,

    /// PostgreSQL: how long a server may accept a revoked key
    ///
    /// From 200ms to 1m, 500ms by default: within this time, every server applies a change that
    /// another one has made. With 0, each verification reads the store.
    #[arg(
        long,
        env = "KEYWRIGHT_STALENESS",
        value_name = "SPAN",
        global = true,
        value_parser = clean(staleness)
    )]
    pub(crate) staleness: Option<Duration>,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Hash {
    /// Argon2id with 19 MiB and 2 passes
    Argon2id,
    /// HMAC-SHA-256: much faster, and as strong for secrets of 256 random bits
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

#[derive(Args)]
pub(crate) struct MigrateOptions {
    /// Print the SQL instead, for a migration tool; needs no connection
    #[arg(long)]
    pub(crate) print: bool,
}

#[derive(Args)]
pub(crate) struct CopyOptions {
    /// Store to copy: sqlite:PATH, postgres://… or redis://…
    #[arg(
        long,
        env = "KEYWRIGHT_COPY_FROM",
        value_name = "URL",
        hide_env_values = true,
        value_parser = clean(StringValueParser::new())
    )]
    pub(crate) from: String,

    /// Store to copy into: empty, or the target of an earlier run
    #[arg(
        long,
        env = "KEYWRIGHT_COPY_TO",
        value_name = "URL",
        hide_env_values = true,
        value_parser = clean(StringValueParser::new())
    )]
    pub(crate) to: Option<String>,

    /// Seal the source, copy the last changes, and make the target usable
    #[arg(long, conflicts_with = "abort")]
    pub(crate) finish: bool,

    /// Confirm that no server uses the source; required to finish a copy from Redis
    #[arg(long, requires = "finish")]
    pub(crate) source_stopped: bool,

    /// Undo an interrupted --finish: the source makes changes again
    #[arg(long)]
    pub(crate) abort: bool,

    /// Print a JSON object for each workspace, and one for the whole copy
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct BackupOptions {
    /// File to create, with mode 0600; it must not exist
    #[arg(value_name = "PATH", value_parser = clean(PathBufValueParser::new()))]
    pub(crate) target: PathBuf,
}

#[derive(Args)]
pub(crate) struct ImportOptions {
    /// Format of the tokens, as for --foreign-format
    #[arg(long, value_name = "FORMAT", value_parser = parsed::<NamedFormat>())]
    pub(crate) format: NamedFormat,

    /// Workspace that the keys belong to
    #[arg(long, default_value = "default", value_parser = parsed::<Workspace>())]
    pub(crate) workspace: Workspace,

    /// Report every line that would fail, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Let the keys expire at this date or time, unless they expire earlier
    #[arg(long, value_name = "TIME", value_parser = clean(date))]
    pub(crate) retire_by: Option<Timestamp>,

    /// Print the numbers of imported, skipped and failed lines as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
#[command(group = ArgGroup::new("bound").required(true).multiple(true).args([
    "revoked_before", "expired_before", "events_before",
]))]
// The usage of clap would list these options, and be wider than a terminal.
#[command(override_usage = "keywright purge [OPTIONS]")]
pub(crate) struct PurgeOptions {
    /// Keys revoked before this date (2026-01-31), time, or age (90d)
    ///
    /// At least one of the three bounds is required. A time is RFC 3339, such as
    /// 2026-01-31T18:00:00+01:00. A time without a zone is in UTC, and a date is midnight in UTC.
    #[arg(long, value_name = "TIME", value_parser = clean(date_or_age))]
    pub(crate) revoked_before: Option<Timestamp>,

    /// Keys that expired before this date, time or age, revoked or not
    #[arg(long, value_name = "TIME", value_parser = clean(date_or_age))]
    pub(crate) expired_before: Option<Timestamp>,

    /// Events before this date, time or age
    #[arg(long, value_name = "TIME", value_parser = clean(date_or_age))]
    pub(crate) events_before: Option<Timestamp>,

    /// Only keys and events of this workspace; without it, those of all workspaces
    #[arg(long, value_parser = parsed::<Workspace>())]
    pub(crate) workspace: Option<Workspace>,

    /// Print the numbers of deleted records and events as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Parses a span, of which zero needs no unit.
fn keep_events(text: &str) -> Result<Duration, String> {
    match text {
        "0" => Ok(Duration::ZERO),
        text => humantime::parse_duration(text)
            .map_err(|_| "expected a span such as 400d, or 0 to write no events".into()),
    }
}

/// Checks the name of a schema.
fn schema(text: &str) -> Result<String, keywright_store_postgres::OpenError> {
    let config = PostgresConfig::new().with_schema(text);
    config.map(|_| text.to_owned())
}

/// Parses a staleness bound, of which zero needs no unit.
fn staleness(text: &str) -> Result<Duration, String> {
    let range = Duration::from_millis(200)..=Duration::from_secs(60);
    let span = match text {
        "0" => Some(Duration::ZERO),
        text => humantime::parse_duration(text).ok(),
    };
    span.filter(|span| span.is_zero() || range.contains(span))
        .ok_or_else(|| "expected a span from 200ms to 1m, or 0 to read the store each time".into())
}

/// Parses a span that is not zero.
fn max_lifetime(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|span| !span.is_zero())
        .ok_or_else(|| "expected a span such as 365d, longer than 0s".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_maximum_lifetime_is_a_span_that_is_not_zero() {
        assert_eq!(max_lifetime("1d"), Ok(Duration::from_secs(86_400)));
        for bad in ["0s", "", "-1d", "365", "never"] {
            assert!(max_lifetime(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn events_are_kept_for_a_span_or_not_written() {
        assert_eq!(keep_events("400d"), Ok(Duration::from_secs(400 * 86_400)));
        for none in ["0", "0s", "0d"] {
            assert_eq!(keep_events(none), Ok(Duration::ZERO), "{none}");
        }
        for bad in ["", "-1d", "400", "never"] {
            assert!(keep_events(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_staleness_bound_is_a_span_that_the_store_supports_or_zero() {
        assert_eq!(staleness("1s"), Ok(Duration::from_secs(1)));
        for none in ["0", "0s"] {
            assert_eq!(staleness(none), Ok(Duration::ZERO), "{none}");
        }
        for bad in ["", "199ms", "61s", "500", "never"] {
            assert!(staleness(bad).is_err(), "{bad}");
        }
    }
}
