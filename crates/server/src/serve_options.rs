//! The options of `serve`.

use std::time::Duration;

use clap::{Args, ValueEnum, builder::BoolishValueParser, value_parser};
use http::{HeaderName, header};
use keywright_core::{AllowedIps, error::AllowedIpsError};

use crate::{
    clean_value::{choice, clean, parsed},
    listen::ListenAddress,
};

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

    /// Accept a key that is not cached by its tag, and check its Argon2id hash afterwards
    ///
    /// Needs --pepper-file. The first use of a key after a restart then takes about as long as
    /// reading the store, instead of waiting for a run of Argon2. A key whose hash turns out to be
    /// wrong is rejected from then on, and its id is logged as an error.
    #[arg(
        long,
        env = "KEYWRIGHT_VERIFY_BY_TAG",
        value_parser = clean(BoolishValueParser::new())
    )]
    pub(crate) verify_by_tag: bool,

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

#[cfg(test)]
mod tests {
    use super::*;

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
