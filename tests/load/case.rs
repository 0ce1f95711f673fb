//! Invalid requests, and the responses that they may get.

use keywright_core::{Environment, Prefix, Token, TokenRef};

use crate::client::request;

/// The behaviour of a client after it has sent a request.
#[derive(Clone, Copy)]
pub(crate) enum End {
    /// Reads until the server closes the connection. Each response must have one of these statuses.
    Reads(&'static [u16]),
    /// Closes its sending half, and reads.
    HalfCloses(&'static [u16]),
    /// Closes the connection.
    Closes,
}

/// An invalid request.
pub(crate) struct Case {
    pub(crate) what: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) end: End,
}

/// Returns all cases, for a token with all permissions in its workspace and a token of another
/// workspace.
pub(crate) fn all(token: &str, other: &str) -> Vec<Case> {
    let mut cases = not_http();
    cases.extend(beyond_limits(token));
    cases.extend(ambiguous(token));
    cases.extend(cut_short(token));
    cases.extend(rejected(token, other));
    cases
}

fn case(what: &'static str, bytes: impl Into<Vec<u8>>, allowed: &'static [u16]) -> Case {
    Case {
        what,
        bytes: bytes.into(),
        end: End::Reads(allowed),
    }
}

fn not_http() -> Vec<Case> {
    let noise: Vec<u8> = (0..=255).cycle().skip(128).step_by(7).take(2048).collect();
    vec![
        case("noise", noise, &[400]),
        case(
            "TLS",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            &[400],
        ),
        case("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[400]),
        case("line ends", b"\r\n".repeat(70_000), &[400, 431]),
        case("HTTP/9.9", b"GET / HTTP/9.9\r\n\r\n", &[400, 505]),
        case(
            "a NUL in a header",
            b"GET /healthz HTTP/1.1\r\na: \0\r\n\r\n",
            &[400],
        ),
        case(
            "a folded header",
            b"GET /healthz HTTP/1.1\r\na: b\r\n c\r\n\r\n",
            &[400],
        ),
    ]
}

fn beyond_limits(token: &str) -> Vec<Case> {
    let get = |target: &str, headers: &str| {
        format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n")
    };
    let post = |headers: &str, body: &[u8]| {
        let head = request("POST", "/v1/api-keys", token, "");
        let head = head.trim_end();
        let head = format!("{head}\r\ncontent-type: application/json\r\n{headers}\r\n\r\n");
        [head.as_bytes(), body].concat()
    };
    let header = format!("a: {}\r\n", "x".repeat(300_000));
    let chunk = [b"4000\r\n".as_slice(), &[b' '; 0x4000], b"\r\n"].concat();
    vec![
        case("a long header", get("/healthz", &header), &[431]),
        case(
            "many headers",
            get("/healthz", &"a: b\r\n".repeat(2_000)),
            &[431],
        ),
        case("a long target", get(&"/x".repeat(40_000), ""), &[414]),
        case(
            "a body with a length beyond the limit",
            post("content-length: 99999999", &[b' '; 50_000]),
            &[413],
        ),
        case(
            "chunks without an end",
            post("transfer-encoding: chunked", &chunk.repeat(3)),
            &[413],
        ),
    ]
}

/// Requests whose end is ambiguous.
fn ambiguous(token: &str) -> Vec<Case> {
    let whoami = |headers: &str| {
        let head = request("GET", "/v1/whoami", token, "");
        format!(
            "{}\r\nconnection: close\r\n{headers}\r\n\r\n",
            head.trim_end()
        )
    };
    vec![
        case(
            "two lengths",
            whoami("content-length: 1\r\ncontent-length: 2"),
            &[400],
        ),
        case("a length below 0", whoami("content-length: -1"), &[400]),
        case(
            "a length and chunks",
            whoami("content-length: 3\r\ntransfer-encoding: chunked") + "0\r\n\r\n",
            &[200, 400],
        ),
        case(
            "an unknown encoding",
            whoami("transfer-encoding: gzip"),
            &[400],
        ),
        // The endpoint does not read a body, so the server does not wait for it.
        case(
            "a body that the endpoint does not read",
            whoami("content-length: 9999"),
            &[200],
        ),
        case(
            "malformed chunks",
            whoami("transfer-encoding: chunked") + "xyz\r\n",
            &[200, 400],
        ),
    ]
}

fn cut_short(token: &str) -> Vec<Case> {
    let create = request("POST", "/v1/api-keys", token, r#"{"name":"cut short"}"#);
    let list = request("GET", "/v1/api-keys?limit=100", token, "");
    let ends = |what, bytes: String, end| Case {
        what,
        bytes: bytes.into(),
        end,
    };
    let head = create[..40].to_owned();
    let body = create[..create.len() - 5].to_owned();
    vec![
        ends("half a head", head.clone(), End::Closes),
        ends("half a body", body.clone(), End::Closes),
        ends("an unread response", create.clone(), End::Closes),
        ends("unread responses", list.repeat(20), End::Closes),
        ends("half a head, half-closed", head, End::HalfCloses(&[400])),
        ends("half a body, half-closed", body, End::HalfCloses(&[400])),
        ends("a request, half-closed", create, End::HalfCloses(&[201])),
    ]
}

fn rejected(token: &str, other: &str) -> Vec<Case> {
    let close = |request: String| request.replacen("host: x", "host: x\r\nconnection: close", 1);
    let create = |body: &str| close(request("POST", "/v1/api-keys", token, body));
    let get = |path: &str, token: &str| close(request("GET", path, token, ""));
    let prefix = Prefix::parse("sk").unwrap();
    let [own, others] =
        [token, other].map(|token| TokenRef::parse(token.as_bytes(), &prefix).ok().unwrap());
    let wrong = Token::assemble(&prefix, Environment::Live, own.id(), &others.secret());
    vec![
        case("not JSON", create("name=x"), &[400]),
        case("deeply nested JSON", create(&"[".repeat(10_000)), &[400]),
        case("an unknown field", create(r#"{"name":"a","b":1}"#), &[400]),
        case("a malformed token", get("/v1/whoami", "x"), &[401]),
        case("a wrong secret", get("/v1/whoami", wrong.expose()), &[401]),
        case("an unknown path", get("/v1/nowhere", token), &[404]),
        case(
            "an unknown method",
            get("/v1/api-keys", token).replacen("GET", "BREW", 1),
            &[405],
        ),
    ]
}
