//! The layer and its configuration.

use std::{net::IpAddr, sync::Arc};

use http::{Extensions, HeaderMap};
use keywright_core::AllowedIps;
use tower_layer::Layer;

use super::{
    ClientIp,
    forwarded::{self, Hop},
    service::ClientIpService,
};
use crate::bounds::MAX_PROXIES;

/// A function that returns the address of the peer of a connection.
type Peer = fn(&Extensions) -> Option<IpAddr>;

/// A layer that puts the [`ClientIp`] into the extensions of a request behind proxies. It belongs
/// outside [`AuthLayer`](crate::AuthLayer) and [`ApiKeys`](crate::ApiKeys).
///
/// The client is the peer of the connection, unless that is a trusted proxy. Then the layer reads
/// `Forwarded` ([RFC 7239](https://www.rfc-editor.org/rfc/rfc7239)) or `X-Forwarded-For` from right
/// to left: each trusted proxy names the peer of its connection, and the first address that is not
/// a trusted proxy is the client. The client can write anything to the left of its address, so that
/// part is not read. If all addresses are trusted, the leftmost is the client. A header from a peer
/// that is not trusted changes nothing.
///
/// The address is unknown, and the request gets no `ClientIp`, if
///
/// * a trusted proxy names something other than an IP address: `unknown`, an obfuscated identifier
///   such as `_hidden`, an address with a zone, or text that is malformed,
/// * the client is behind more than 16 trusted proxies, or a header is longer than 4 KiB,
/// * the request has both headers, and they do not lead to the same address: a proxy that writes
///   one of them passes the other one on from the client.
///
/// A key that is restricted to addresses is then rejected.
///
/// Trust only proxies that write one of the headers, by appending to it or by replacing it. Any
/// other proxy lets its clients choose their address.
///
/// ```
/// use std::net::SocketAddr;
///
/// use axum::{Router, extract::ConnectInfo};
/// use keywright_core::Keywright;
/// use keywright_http_tower::{ApiKeys, ClientIpLayer};
///
/// // `axum::serve` provides `ConnectInfo` to `into_make_service_with_connect_info`.
/// fn app(keys: &Keywright) -> Result<Router, Box<dyn std::error::Error>> {
///     let proxies = "10.0.0.0/8,fd00::/8".parse()?;
///     let client_ip = ClientIpLayer::trusting(proxies).with_peer(|extensions| {
///         let info = extensions.get::<ConnectInfo<SocketAddr>>();
///         info.map(|ConnectInfo(address)| address.ip())
///     });
///     Ok(Router::new()
///         .nest_service("/v1/api-keys", ApiKeys::nested(keys, "/v1/api-keys"))
///         .layer(client_ip))
/// }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct ClientIpLayer(Arc<Settings>);

#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// `None` trusts no proxy.
    proxies: Option<AllowedIps>,
    /// Whether a peer without an address is a trusted proxy.
    trusts_unix_sockets: bool,
    peer: Peer,
}

impl ClientIpLayer {
    /// Creates a layer that trusts the proxies with these addresses. It takes the peer of the
    /// connection from the [`ClientIp`] that the host has put into the request, and replaces it.
    pub fn trusting(proxies: AllowedIps) -> Self {
        Self::new(Some(proxies))
    }

    /// Creates a layer that trusts no proxy: the client is the peer of the connection.
    pub fn direct() -> Self {
        Self::new(None)
    }

    fn new(proxies: Option<AllowedIps>) -> Self {
        let peer: Peer = |extensions| extensions.get().map(|ClientIp(address)| *address);
        Self(Arc::new(Settings {
            proxies,
            trusts_unix_sockets: false,
            peer,
        }))
    }

    /// Also trusts a peer that has no address as a proxy: the peer of a Unix socket. If it sends
    /// none of the headers, the address of the client is unknown.
    ///
    /// The host must then provide the peer of every other connection. Only proxies may be able to
    /// connect to the Unix socket.
    pub fn with_trusted_unix_sockets(self) -> Self {
        let mut settings = Arc::unwrap_or_clone(self.0);
        settings.trusts_unix_sockets = true;
        Self(Arc::new(settings))
    }

    /// Takes the peer of the connection from another extension of the request.
    pub fn with_peer(self, peer: fn(&Extensions) -> Option<IpAddr>) -> Self {
        let mut settings = Arc::unwrap_or_clone(self.0);
        settings.peer = peer;
        Self(Arc::new(settings))
    }
}

impl<S> Layer<S> for ClientIpLayer {
    type Service = ClientIpService<S>;

    fn layer(&self, inner: S) -> ClientIpService<S> {
        ClientIpService::new(inner, Arc::clone(&self.0))
    }
}

impl Settings {
    /// Returns the address of the client, if it is known.
    pub(super) fn client(&self, extensions: &Extensions, headers: &HeaderMap) -> Option<IpAddr> {
        let peer = (self.peer)(extensions).map(|peer| peer.to_canonical());
        if !peer.map_or(self.trusts_unix_sockets, |peer| self.trusts(peer)) {
            return peer;
        }
        let forwarded = forwarded::forwarded(headers).map(|hops| self.walk(peer, &hops));
        let x_forwarded_for =
            forwarded::x_forwarded_for(headers).map(|hops| self.walk(peer, &hops));
        match (forwarded, x_forwarded_for) {
            (None, None) => peer,
            (Some(client), None) | (None, Some(client)) => client,
            (Some(client), Some(other)) => client.filter(|_| client == other),
        }
    }

    /// Follows the hops from the last one, which the peer names, to the first address that is not a
    /// trusted proxy.
    fn walk(&self, peer: Option<IpAddr>, hops: &[Hop]) -> Option<IpAddr> {
        let mut client = peer;
        for (proxies, hop) in hops.iter().rev().enumerate() {
            if proxies == MAX_PROXIES {
                return None;
            }
            let hop = hop.as_ref()?.to_canonical();
            client = Some(hop);
            if !self.trusts(hop) {
                break;
            }
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        let proxies = self.proxies.as_ref();
        proxies.is_some_and(|proxies| proxies.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::bounds::MAX_FORWARDED_LENGTH;

    const PROXY: &str = "10.0.0.1";

    /// Returns the client of a request from a peer with these header lines.
    fn client(peer: &str, lines: &[(&'static str, &str)]) -> Option<String> {
        let layer = ClientIpLayer::trusting("10.0.0.0/8,2001:db8::/32".parse().unwrap());
        let mut extensions = Extensions::new();
        extensions.insert(ClientIp(peer.parse().unwrap()));
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(HeaderName::from_static(name), value);
        }
        let client = layer.0.client(&extensions, &headers);
        client.map(|address| address.to_string())
    }

    #[track_caller]
    fn check(lines: &[(&'static str, &str)], expected: Option<&str>) {
        assert_eq!(client(PROXY, lines).as_deref(), expected, "{lines:?}");
    }

    /// Checks the same hops in both headers.
    #[track_caller]
    fn check_both(hops: &[&str], expected: Option<&str>) {
        check(&[("x-forwarded-for", &hops.join(", "))], expected);
        let elements = hops.iter().map(|hop| format!(r#"for="{hop}""#));
        let elements: Vec<String> = elements.collect();
        check(&[("forwarded", &elements.join(", "))], expected);
        let lines: Vec<_> = elements
            .iter()
            .map(|element| ("forwarded", &**element))
            .collect();
        check(&lines, expected);
    }

    #[test]
    fn a_header_from_a_peer_that_is_not_trusted_changes_nothing() {
        for lines in [
            &[][..],
            &[("x-forwarded-for", "192.0.2.1")],
            &[("forwarded", "for=192.0.2.1")],
            &[
                ("forwarded", "for=192.0.2.1"),
                ("x-forwarded-for", "192.0.2.1"),
            ],
            &[("x-forwarded-for", "10.0.0.1, 10.0.0.2")],
            &[("forwarded", "\"")],
        ] {
            assert_eq!(client("203.0.113.9", lines).as_deref(), Some("203.0.113.9"));
            assert_eq!(
                client("::ffff:203.0.113.9", lines).as_deref(),
                Some("203.0.113.9")
            );
        }
    }

    #[test]
    fn the_client_is_the_first_address_from_the_right_that_is_not_a_trusted_proxy() {
        check_both(&["192.0.2.1"], Some("192.0.2.1"));
        check_both(
            &["192.0.2.1", "10.1.1.1", "[2001:db8::7]"],
            Some("192.0.2.1"),
        );
        // The client has written what is to the left of its address.
        check_both(&["10.0.0.5", "192.0.2.1"], Some("192.0.2.1"));
        check_both(
            &["198.51.100.1", "192.0.2.1", "10.1.1.1"],
            Some("192.0.2.1"),
        );
        check_both(&["garbage", "", "192.0.2.1"], Some("192.0.2.1"));
        let forged = ["198.51.100.1"; 100];
        check_both(&[&forged[..], &["192.0.2.1"]].concat(), Some("192.0.2.1"));
        // A request from the proxy itself.
        check(&[], Some(PROXY));
        check_both(&["10.9.9.9", "10.1.1.1"], Some("10.9.9.9"));
    }

    #[test]
    fn addresses_have_ports_brackets_and_the_form_of_mapped_addresses() {
        for (hop, expected) in [
            ("192.0.2.1:8080", "192.0.2.1"),
            ("192.0.2.1:_port", "192.0.2.1"),
            ("[2001:dead::1]", "2001:dead::1"),
            ("[2001:dead::1]:443", "2001:dead::1"),
            ("[2001:DEAD:0::1]:_x.y-z", "2001:dead::1"),
            ("[::ffff:192.0.2.1]", "192.0.2.1"),
        ] {
            check_both(&[hop], Some(expected));
        }
        check(&[("x-forwarded-for", "2001:dead::1")], Some("2001:dead::1"));
        check(&[("x-forwarded-for", "\t192.0.2.1 ")], Some("192.0.2.1"));
    }

    #[test]
    fn a_hop_that_a_trusted_proxy_does_not_name_by_its_address_makes_the_client_unknown() {
        for hop in [
            "unknown",
            "_hidden",
            "example.com",
            "",
            "192.0.2",
            "192.0.2.01",
            "192.0.2.1/32",
            "192.0.2.1:",
            "192.0.2.1:99999",
            "192.0.2.1:-1",
            "192.0.2.1:_",
            "192.0.2.1 192.0.2.2",
            "[192.0.2.1]",
            "[2001:dead::1",
            "[2001:dead::1]443",
            "[2001:dead::1]:",
            "[fe80::1%eth0]",
            "fe80::1%eth0",
            "[fe80::1%25eth0]:80",
        ] {
            check_both(&[hop], None);
            check_both(&["192.0.2.1", hop, "10.1.1.1"], None);
        }
    }

    #[test]
    fn an_element_of_forwarded_has_pairs_in_any_order_and_case() {
        for (line, expected) in [
            ("for=192.0.2.1", Some("192.0.2.1")),
            (
                "For=192.0.2.1;Proto=https;by=203.0.113.43",
                Some("192.0.2.1"),
            ),
            (
                r#"proto=https; for="192.0.2.1" ;host="a\"b,c;for=x""#,
                Some("192.0.2.1"),
            ),
            (";for=192.0.2.1;", Some("192.0.2.1")),
            (r#"for="\192.0.2\.1""#, Some("192.0.2.1")),
            ("by=192.0.2.1", None),
            ("for=192.0.2.1;for=192.0.2.2", None),
            ("for", None),
            ("for=", None),
            ("=192.0.2.1", None),
            ("for =192.0.2.1", None),
            ("for=192.0.2.1 x", None),
            // An IPv6 address must be quoted and in brackets.
            ("for=[2001:dead::1]", None),
            (r#"for="2001:dead::1""#, None),
            ("for=192.0.2.1:80", None),
            (r#"for="192.0.2.1"#, None),
            (r#"for="192.0.2.1"x"#, None),
            (r#"for="192.0.2.1\"#, None),
            ("for=192.0.2.1\u{e9}", None),
        ] {
            check(&[("forwarded", line)], expected);
        }
    }

    #[test]
    fn a_quote_of_the_client_does_not_hide_what_the_proxy_appends() {
        for own in [
            r#"for="[2001:dead::1]:4711""#,
            "for=192.0.2.1",
            r#"for=192.0.2.1;host="a""#,
        ] {
            for forged in [
                r#"for=10.0.0.1;x=""#,
                r#"for=10.0.0.1;x="\"#,
                r#"for=10.0.0.1;x="a","#,
                r#"for=198.51.100.1;x=""#,
                r#"""#,
            ] {
                let line = format!("{forged}, {own}");
                let client = client(PROXY, &[("forwarded", &line)]);
                let is_own =
                    client.is_none_or(|client| ["192.0.2.1", "2001:dead::1"].contains(&&*client));
                assert!(is_own, "{line}");
            }
        }
    }

    #[test]
    fn two_headers_count_only_if_they_lead_to_the_same_address() {
        for (forwarded, x_forwarded_for, expected) in [
            ("for=192.0.2.1", "192.0.2.1", Some("192.0.2.1")),
            (
                "for=192.0.2.1, for=10.1.1.1",
                "192.0.2.1:80",
                Some("192.0.2.1"),
            ),
            ("for=192.0.2.2", "192.0.2.1", None),
            ("for=unknown", "192.0.2.1", None),
            ("for=192.0.2.1", "unknown", None),
            ("x", "y", None),
            ("", "192.0.2.1", None),
        ] {
            let lines = [
                ("forwarded", forwarded),
                ("x-forwarded-for", x_forwarded_for),
            ];
            check(&lines, expected);
        }
    }

    #[test]
    fn a_long_chain_of_proxies_and_a_long_header_make_the_client_unknown() {
        let proxies = |count| {
            let hops = [&["192.0.2.1"][..], &vec!["10.1.1.1"; count]].concat();
            client(PROXY, &[("x-forwarded-for", &hops.join(","))])
        };
        // With the peer, 16 proxies.
        assert_eq!(proxies(MAX_PROXIES - 1).as_deref(), Some("192.0.2.1"));
        assert_eq!(proxies(MAX_PROXIES), None);
        let padded = |length| {
            let line = format!("{:>length$}", "192.0.2.1");
            client(PROXY, &[("x-forwarded-for", &line)])
        };
        assert_eq!(padded(MAX_FORWARDED_LENGTH).as_deref(), Some("192.0.2.1"));
        assert_eq!(padded(MAX_FORWARDED_LENGTH + 1), None);
    }

    #[test]
    fn without_proxies_the_client_is_the_peer_and_without_a_peer_it_is_unknown() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("192.0.2.1"));
        let mut extensions = Extensions::new();
        extensions.insert(ClientIp(PROXY.parse().unwrap()));
        let direct = ClientIpLayer::direct();
        assert_eq!(
            direct.0.client(&extensions, &headers),
            Some(PROXY.parse().unwrap())
        );
        assert_eq!(direct.0.client(&Extensions::new(), &headers), None);
        // With `with_peer`, the layer ignores the `ClientIp` that the host has set.
        let other = direct.with_peer(|extensions| extensions.get::<IpAddr>().copied());
        assert_eq!(other.0.client(&extensions, &headers), None);
        extensions.insert::<IpAddr>("192.0.2.9".parse().unwrap());
        assert_eq!(
            other.0.client(&extensions, &headers),
            Some("192.0.2.9".parse().unwrap())
        );
    }

    #[test]
    fn a_peer_without_an_address_is_trusted_only_on_request_and_never_the_client() {
        let trusting = ClientIpLayer::trusting(PROXY.parse().unwrap());
        let unix = trusting.clone().with_trusted_unix_sockets();
        for (hops, expected) in [
            (None, None),
            (Some("192.0.2.1"), Some("192.0.2.1")),
            (Some("192.0.2.9, 192.0.2.1, 10.0.0.1"), Some("192.0.2.1")),
            (Some("10.0.0.1"), Some("10.0.0.1")),
            (Some("unknown"), None),
        ] {
            let value = hops.map(|hops| HeaderValue::from_str(hops).unwrap());
            let name = HeaderName::from_static("x-forwarded-for");
            let headers: HeaderMap = value.map(|value| (name, value)).into_iter().collect();
            let extensions = Extensions::new();
            assert_eq!(trusting.0.client(&extensions, &headers), None, "{hops:?}");
            let expected = expected.map(|address| address.parse().unwrap());
            assert_eq!(unix.0.client(&extensions, &headers), expected, "{hops:?}");
            let mut extensions = Extensions::new();
            let peer = "198.51.100.1".parse().unwrap();
            extensions.insert(ClientIp(peer));
            assert_eq!(unix.0.client(&extensions, &headers), Some(peer), "{hops:?}");
        }
    }
}
