//! The options of the commands without subcommands, and the options that every command shares.

use std::{path::PathBuf, time::Duration};

use clap::{
    ArgGroup, Args, ValueEnum,
    builder::{BoolishValueParser, PathBufValueParser, StringValueParser},
    value_parser,
};
use http::{HeaderName, header};
use keywright_core::{AllowedIps, Prefix, Scheme, Timestamp, Workspace, error::AllowedIpsError};
use keywright_store_postgres::PostgresConfig;

use crate::{
    clean_value::{choice, clean, parsed},
    dates::{date, date_or_age},
    foreign::NamedFormat,
    listen::ListenAddress,
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
    /// read of the store.
    #[arg(
        long,
        env = "KEYWRIGHT_FOREIGN_FORMAT",
        value_name = "FORMAT",
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
pub(crate) struct ServeOptions {
    /// Address to listen on, such as 127.0.0.1:8080; repeatable
    ///
    /// `HOST:PORT`, `[IPV6]:PORT`, `:PORT` or `unix:PATH`. A host name is all its addresses, and
    /// `:PORT` is every address of the machine. The umask decides who may connect to a Unix socket.
    /// The default is 127.0.0.1:8080, or the sockets that systemd passes on.
    #[arg(
        long,
        env = "KEYWRIGHT_LISTEN",
        value_name = "ADDR",
        value_delimiter = ',',
        value_parser = parsed::<ListenAddress>()
    )]
    pub(crate) listen: Vec<ListenAddress>,

    /// Address for health and metrics, instead of --listen; repeatable
    ///
    /// It serves /healthz, /readyz and /metrics, and has the forms of --listen. A socket from
    /// systemd with the name `admin` (FileDescriptorName=admin) serves them as well.
    #[arg(
        long,
        env = "KEYWRIGHT_ADMIN_LISTEN",
        value_name = "ADDR",
        value_delimiter = ',',
        value_parser = parsed::<ListenAddress>()
    )]
    pub(crate) admin_listen: Vec<ListenAddress>,

    /// Maximum number of connections of clients at a time
    ///
    /// The server also needs 100 other open files. If the system allows fewer, the server accepts
    /// fewer connections and logs a warning.
    #[arg(
        long,
        env = "KEYWRIGHT_MAX_CONNECTIONS",
        value_name = "N",
        default_value_t = 1000,
        value_parser = clean(max_connections)
    )]
    pub(crate) max_connections: usize,

    /// Maximum idle time of a connection, up to 1h; 0s keeps none
    ///
    /// A proxy or load balancer in front of the server should close idle connections earlier.
    /// Otherwise it may send a request on a connection that is being closed.
    #[arg(
        long,
        env = "KEYWRIGHT_KEEP_ALIVE",
        value_name = "SPAN",
        default_value = "75s",
        value_parser = clean(up_to_an_hour)
    )]
    pub(crate) keep_alive: Duration,

    /// How long to accept connections after a signal; /readyz returns 503
    ///
    /// Set it to the time that your load balancer needs to notice. The server then stops listening
    /// and finishes the requests in flight. A second signal ends it at once. At most 1h.
    #[arg(
        long,
        env = "KEYWRIGHT_SHUTDOWN_DELAY",
        value_name = "SPAN",
        default_value = "0s",
        value_parser = clean(up_to_an_hour)
    )]
    pub(crate) shutdown_delay: Duration,

    /// Proxies whose Forwarded or X-Forwarded-For to trust; repeatable
    ///
    /// Addresses and prefixes such as 10.0.0.0/8. Without this option, the address of a client is
    /// that of its connection. Name only proxies that write one of these headers: any other host
    /// in a prefix can choose the address of its clients. A request without the header counts as
    /// one from the proxy itself. `unix` trusts every client of a Unix socket. Without `unix`, the
    /// address of such a client is unknown, and the server rejects keys with allowed addresses.
    #[arg(
        long,
        env = "KEYWRIGHT_TRUST_PROXY",
        value_name = "LIST",
        value_delimiter = ',',
        value_parser = clean(trusted_proxy)
    )]
    pub(crate) trust_proxy: Vec<TrustedProxy>,

    /// Header of the API key, such as X-API-Key; repeatable
    ///
    /// The value of Authorization is `Bearer TOKEN`, and that of any other header is the token
    /// alone. Authorization,X-API-Key reads both, and a request with both receives 400. The console
    /// sends Authorization, so it is disabled without that header.
    #[arg(
        long,
        env = "KEYWRIGHT_AUTH_HEADER",
        value_name = "NAME",
        value_delimiter = ',',
        default_value = "Authorization",
        value_parser = clean(auth_header)
    )]
    pub(crate) auth_header: Vec<HeaderName>,

    /// Management requests a minute for each caller; 0 disables the limit
    ///
    /// `POST /v1/api-keys/verify` does not count.
    #[arg(
        long,
        env = "KEYWRIGHT_RATE_LIMIT",
        value_name = "N",
        default_value_t = 600,
        allow_negative_numbers = true,
        value_parser = clean(value_parser!(u32))
    )]
    pub(crate) rate_limit: u32,

    /// Disable the console at /console
    #[arg(
        long,
        env = "KEYWRIGHT_NO_CONSOLE",
        value_parser = clean(BoolishValueParser::new())
    )]
    pub(crate) no_console: bool,

    /// When to create the first key of an empty store and print its token
    ///
    /// The key has all permissions in the workspace `default`. Its token is printed only once,
    /// alone on a line of standard output.
    #[arg(
        long,
        env = "KEYWRIGHT_FIRST_KEY",
        value_name = "WHEN",
        value_enum,
        default_value_t = FirstKey::Auto,
        value_parser = choice::<FirstKey>()
    )]
    pub(crate) first_key: FirstKey,

    /// Format of the log on standard error
    #[arg(
        long,
        env = "KEYWRIGHT_LOG_FORMAT",
        value_name = "FORMAT",
        value_enum,
        default_value_t = LogFormat::Text,
        value_parser = choice::<LogFormat>()
    )]
    pub(crate) log_format: LogFormat,

    /// Lowest level to log
    #[arg(
        long,
        env = "KEYWRIGHT_LOG_LEVEL",
        value_name = "LEVEL",
        value_enum,
        default_value_t = LogLevel::Info,
        value_parser = choice::<LogLevel>()
    )]
    pub(crate) log_level: LogLevel,
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
    /// Format of the tokens, such as unkey or sanctum
    #[arg(long, value_name = "FORMAT", value_parser = parsed::<NamedFormat>())]
    pub(crate) format: NamedFormat,

    /// Workspace that the keys belong to
    #[arg(long, default_value = "default", value_parser = parsed::<Workspace>())]
    pub(crate) workspace: Workspace,

    /// Report what would be imported and which lines would fail, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Latest time at which the keys expire: a date, or a time
    #[arg(long, value_name = "TIME", value_parser = clean(date))]
    pub(crate) retire_by: Option<Timestamp>,

    /// Print the numbers of lines as JSON
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

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FirstKey {
    /// If standard output is a terminal: collected logs should contain no token
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

/// A proxy that reports the addresses of its clients.
#[derive(Clone)]
pub(crate) enum TrustedProxy {
    Network(AllowedIps),
    UnixSocket,
}

impl ServeOptions {
    /// Returns the networks of the trusted proxies.
    pub(crate) fn trusted_networks(&self) -> Result<Option<AllowedIps>, AllowedIpsError> {
        let networks = self.trust_proxy.iter().filter_map(|proxy| match proxy {
            TrustedProxy::Network(networks) => Some(networks),
            TrustedProxy::UnixSocket => None,
        });
        let networks = networks.flat_map(AllowedIps::iter);
        let networks: Vec<String> = networks.map(|network| network.to_string()).collect();
        if networks.is_empty() {
            return Ok(None);
        }
        AllowedIps::parse(networks.iter().map(String::as_str)).map(Some)
    }

    /// Whether the clients of Unix sockets are trusted proxies.
    pub(crate) fn trusts_unix_sockets(&self) -> bool {
        let mut proxies = self.trust_proxy.iter();
        proxies.any(|proxy| matches!(proxy, TrustedProxy::UnixSocket))
    }
}

/// Parses an address, a prefix or `unix`.
fn trusted_proxy(text: &str) -> Result<TrustedProxy, String> {
    if text == "unix" {
        return Ok(TrustedProxy::UnixSocket);
    }
    let network = text.parse().map_err(|error| match error {
        AllowedIpsError::HostBits { meant } => {
            format!("a prefix has bits set after its length: write {meant}")
        }
        _ => "expected an address, a prefix such as 10.0.0.0/8, or unix".into(),
    });
    network.map(TrustedProxy::Network)
}

/// Parses a span of at most an hour.
fn up_to_an_hour(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|span| *span <= Duration::from_secs(3600))
        .ok_or_else(|| "expected a span such as 75s, at most 1h".into())
}

/// Parses a number of connections that is not zero.
fn max_connections(text: &str) -> Result<usize, String> {
    let number = text.parse().ok();
    number
        .filter(|number| (1..=100_000).contains(number))
        .ok_or_else(|| "expected a number from 1 to 100000".into())
}

/// The headers that have another meaning, which a token must not replace.
const RESERVED_HEADERS: [HeaderName; 12] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::EXPECT,
    header::FORWARDED,
    header::HOST,
    header::IF_MATCH,
    header::TRANSFER_ENCODING,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-request-id"),
];

/// Parses the name of a header for tokens.
fn auth_header(text: &str) -> Result<HeaderName, String> {
    let header: HeaderName = text
        .parse()
        .map_err(|_| "expected the name of a header, such as X-API-Key")?;
    if RESERVED_HEADERS.contains(&header) {
        return Err("this header is reserved: choose another one, such as X-API-Key".into());
    }
    Ok(header)
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

    #[test]
    fn an_idle_time_is_at_most_an_hour() {
        assert_eq!(up_to_an_hour("75s"), Ok(Duration::from_secs(75)));
        assert_eq!(up_to_an_hour("0s"), Ok(Duration::ZERO));
        assert_eq!(up_to_an_hour("1h"), Ok(Duration::from_secs(3600)));
        for bad in ["61m", "", "-1s", "75", "forever"] {
            assert!(up_to_an_hour(bad).is_err(), "{bad}");
        }
    }
}
