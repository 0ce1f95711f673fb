//! The address of a client, which a server takes from the connection or from a trusted proxy.

use tempfile::tempdir;

use crate::support::{FAST, Server, assert_fails, keywright, operator_key, request};

/// Returns the status of a request with these headers.
fn whoami(server: &Server, token: &str, headers: &str) -> u16 {
    server
        .raw(request("GET", "/v1/whoami", token, headers, ""))
        .status
}

#[test]
fn a_trusted_proxy_names_the_address_of_its_client() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let restricted = [&FAST[..], &["--allowed-ips", "192.0.2.0/24,2001:db8::/32"]].concat();
    let token = operator_key(path, &restricted);
    let direct = Server::start(path, &FAST);
    let proxies = [
        "--trust-proxy",
        "10.0.0.0/8",
        "--trust-proxy",
        "127.0.0.0/8,::1",
    ];
    let behind_proxies = Server::start(path, &[&FAST[..], &proxies].concat());
    let mut by_variable = keywright(path, &["serve", "--listen", "127.0.0.1:0"]);
    by_variable
        .env("KEYWRIGHT_TRUST_PROXY", "10.0.0.0/8,127.0.0.1")
        .env("KEYWRIGHT_HASH", "hmac-sha256");
    let by_variable = Server::spawn(&mut by_variable);
    for (headers, expected) in [
        ("x-forwarded-for: 192.0.2.7\r\n", 200),
        ("forwarded: for=192.0.2.7\r\n", 200),
        ("forwarded: for=\"[2001:db8::1]:80\"\r\n", 200),
        (
            "x-forwarded-for: 198.51.100.1, 192.0.2.7, 10.1.2.3\r\n",
            200,
        ),
        // The client has written the first address.
        ("x-forwarded-for: 192.0.2.7, 198.51.100.1\r\n", 403),
        ("x-forwarded-for: 192.0.2.7, garbage\r\n", 403),
        ("", 403),
    ] {
        for server in [&behind_proxies, &by_variable] {
            assert_eq!(whoami(server, &token, headers), expected, "{headers}");
        }
        assert_eq!(whoami(&direct, &token, headers), 403, "{headers}");
    }
}

#[test]
fn a_proxy_that_is_not_an_address_is_an_error() {
    let folder = tempdir().unwrap();
    for (proxy, word) in [
        ("proxy.example", "10.0.0.0/8"),
        ("10.0.0.1/8", "10.0.0.0/8"),
        ("", "--trust-proxy"),
    ] {
        assert_fails(
            folder.path(),
            &["--trust-proxy", proxy],
            &["--trust-proxy", word],
        );
    }
    let many: Vec<String> = (0..33).map(|number| format!("10.0.0.{number}")).collect();
    let many: Vec<&str> = many.iter().flat_map(|one| ["--trust-proxy", one]).collect();
    assert_fails(folder.path(), &many, &["--trust-proxy", "32"]);
}
