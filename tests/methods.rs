//! HEAD, OPTIONS and unsupported methods, over a real socket.

use std::io::{Read, Write};

use tempfile::tempdir;

use crate::support::{FAST, Server, operator_key};

/// Sends a request. Returns the status, the sorted header lines without the date, and the body.
fn exchange(
    server: &Server,
    method: &str,
    path: &str,
    headers: &str,
) -> (u16, Vec<String>, String) {
    let mut stream = server.connect();
    let request =
        format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let mut lines: Vec<String> = lines
        .filter(|line| !line.starts_with("date: "))
        .map(str::to_owned)
        .collect();
    lines.sort_unstable();
    (status.parse().unwrap(), lines, body.to_owned())
}

/// Returns the headers without the rest of the budget, which each request changes.
fn without_budget(headers: &[String]) -> Vec<&String> {
    let is_constant = |header: &&String| !header.starts_with("x-ratelimit-re");
    headers.iter().filter(is_constant).collect()
}

struct Story {
    server: Server,
    bearer: String,
    key: String,
    _folder: tempfile::TempDir,
}

impl Story {
    fn start() -> Self {
        let folder = tempdir().unwrap();
        let token = operator_key(folder.path(), &FAST);
        let server = Server::start(folder.path(), &FAST);
        let key = server.create(&token, r#"{"name":"n"}"#);
        Self {
            bearer: format!("authorization: Bearer {token}\r\nx-request-id: same\r\n"),
            key: key.header("location").to_owned(),
            server,
            _folder: folder,
        }
    }
}

#[test]
fn head_returns_the_headers_of_get_without_the_body() {
    let story = Story::start();
    let stranger = "authorization: Bearer x\r\nx-request-id: same\r\n";
    let problem = format!("{}accept: application/problem+json\r\n", story.bearer);
    for (path, headers, status) in [
        ("/v1/api-keys", story.bearer.as_str(), 200),
        ("/v1/api-keys/", &story.bearer, 200),
        ("/v1/api-keys?page=1&limit=1&search=n", &story.bearer, 200),
        (&story.key, &story.bearer, 200),
        ("/v1/api-keys/events?limit=1", &story.bearer, 200),
        ("/v1/api-keys/report", &story.bearer, 200),
        ("/v1/whoami", &story.bearer, 200),
        ("/healthz", "x-request-id: same\r\n", 200),
        ("/readyz", "x-request-id: same\r\n", 200),
        ("/v1/api-keys?page=0", &story.bearer, 400),
        ("/v1/api-keys?page=0", &problem, 400),
        ("/v1/api-keys/events?limit=0", &story.bearer, 400),
        (&story.key, stranger, 401),
        ("/v1/api-keys", "x-request-id: same\r\n", 401),
        ("/v1/whoami", stranger, 401),
        ("/v1/api-keys/key_0U5lKtf600000000", &story.bearer, 404),
        ("/v1/api-keys/key_1", &story.bearer, 404),
        ("/v1/nowhere", &story.bearer, 404),
        ("/v1/api-keys/verify", &story.bearer, 405),
    ] {
        let get = exchange(&story.server, "GET", path, headers);
        let head = exchange(&story.server, "HEAD", path, headers);
        assert_eq!(get.0, status, "{path}");
        assert_eq!(
            (head.0, without_budget(&head.1)),
            (get.0, without_budget(&get.1)),
            "{path}"
        );
        assert!(
            get.1.contains(&format!("content-length: {}", get.2.len())),
            "{path}"
        );
        assert!(
            get.1.contains(&"cache-control: no-store".to_owned()),
            "{path}"
        );
        assert!(get.1.contains(&"x-request-id: same".to_owned()), "{path}");
        assert!(!get.2.is_empty(), "{path}");
        assert_eq!(head.2, "", "{path}");
    }
}

#[test]
fn options_and_405_list_the_methods_of_a_path() {
    let story = Story::start();
    let rotate = format!("{}/rotate", story.key);
    for (path, allow) in [
        ("/v1/api-keys", "GET, HEAD, POST, OPTIONS"),
        ("/v1/api-keys/", "GET, HEAD, POST, OPTIONS"),
        ("/v1/api-keys?page=1", "GET, HEAD, POST, OPTIONS"),
        (&story.key, "GET, HEAD, PATCH, DELETE, OPTIONS"),
        (&rotate, "POST, OPTIONS"),
        ("/v1/api-keys/verify", "POST, OPTIONS"),
        ("/v1/api-keys/events", "GET, HEAD, OPTIONS"),
        ("/v1/api-keys/report", "GET, HEAD, OPTIONS"),
    ] {
        let line = format!("allow: {allow}");
        // A preflight request of a browser has no key.
        for headers in [&story.bearer, ""] {
            let (status, lines, body) = exchange(&story.server, "OPTIONS", path, headers);
            assert_eq!((status, body.as_str()), (204, ""), "{path}");
            assert!(lines.contains(&line), "{path}: {lines:?}");
        }
        for method in [
            "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW",
        ] {
            if allow.split(", ").any(|allowed| allowed == method) {
                continue;
            }
            let (status, lines, body) = exchange(&story.server, method, path, &story.bearer);
            assert_eq!(status, 405, "{method} {path}");
            assert!(lines.contains(&line), "{method} {path}: {lines:?}");
            assert_eq!(
                body.contains("\"method_not_allowed\""),
                method != "HEAD",
                "{path}"
            );
        }
    }
    for path in ["/v1/whoami", "/healthz", "/readyz"] {
        for method in ["POST", "PUT", "PATCH", "DELETE", "BREW"] {
            let (status, lines, _) = exchange(&story.server, method, path, &story.bearer);
            assert_eq!(status, 405, "{method} {path}");
            assert!(
                lines.contains(&"allow: GET,HEAD,OPTIONS".to_owned()),
                "{path}: {lines:?}"
            );
        }
    }
}

#[test]
fn every_path_of_the_server_supports_options_without_a_key() {
    let story = Story::start();
    for path in [
        "/v1/whoami",
        "/openapi.json",
        "/metrics",
        "/healthz",
        "/readyz",
    ] {
        let (status, lines, body) = exchange(&story.server, "OPTIONS", path, "");
        assert_eq!((status, body.as_str()), (204, ""), "{path}");
        let allow = "allow: GET, HEAD, OPTIONS".to_owned();
        assert!(lines.contains(&allow), "{path}: {lines:?}");
        assert!(
            lines.contains(&"cache-control: no-store".to_owned()),
            "{path}"
        );
        let (status, lines, _) = exchange(&story.server, "POST", path, &story.bearer);
        assert_eq!(status, 405, "{path}");
        assert!(
            lines.iter().any(|line| line.starts_with("allow: ")),
            "{path}: {lines:?}"
        );
    }
    let (status, ..) = exchange(&story.server, "GET", "/v1/whoami", "");
    assert_eq!(status, 401);
}
