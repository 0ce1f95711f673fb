//! An address to listen on, as the command line spells it.

use std::{
    fmt::{self, Display, Formatter},
    net::SocketAddr,
    path::PathBuf,
    str::FromStr,
};

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ListenAddress {
    /// A port on every address of the machine, IPv6 and IPv4.
    Port(u16),
    /// An IP address and a port.
    Ip(SocketAddr),
    /// A port on every address of a host name.
    Host(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
}

impl FromStr for ListenAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str =
            "expected HOST:PORT, :PORT, [IPV6]:PORT or unix:PATH, such as 127.0.0.1:8080";
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err("expected a path after unix:"),
                path => Ok(Self::Unix(path.into())),
            };
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Ip(address));
        }
        let (host, port) = text.rsplit_once(':').ok_or(EXPECTED)?;
        let port = port.parse().map_err(|_| EXPECTED)?;
        let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        match host {
            "" => Ok(Self::Port(port)),
            host if host.bytes().all(in_name) => Ok(Self::Host(host.into(), port)),
            _ => Err(EXPECTED),
        }
    }
}

impl Display for ListenAddress {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(port) => write!(formatter, ":{port}"),
            Self::Ip(address) => address.fmt(formatter),
            Self::Host(host, port) => write!(formatter, "{host}:{port}"),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_a_port_or_a_path() {
        for (text, address) in [
            (":8080", ListenAddress::Port(8080)),
            ("127.0.0.1:0", ListenAddress::Ip(([127, 0, 0, 1], 0).into())),
            ("[::1]:80", ListenAddress::Ip("[::1]:80".parse().unwrap())),
            ("localhost:80", ListenAddress::Host("localhost".into(), 80)),
            ("unix:k.sock", ListenAddress::Unix("k.sock".into())),
            ("unix:/run/k:1", ListenAddress::Unix("/run/k:1".into())),
        ] {
            assert_eq!(text.parse(), Ok(address.clone()), "{text}");
            assert_eq!(address.to_string(), text);
        }
        for bad in [
            "",
            ":",
            "8080",
            "localhost",
            "localhost:",
            "a:65536",
            "a:-1",
            "::1:80",
            "[::1]",
            "a b:1",
            "unix:",
            "http://a:80",
            "unix",
            "/run/k.sock",
        ] {
            assert!(bad.parse::<ListenAddress>().is_err(), "{bad}");
        }
    }
}
