//! Bad input over a real socket returns a clear error, and stores nothing.

use std::io::Write;

use rusqlite::Connection;
use tempfile::{TempDir, tempdir};

use crate::support::{FAST, Response, Server, operator_key};

struct Story {
    folder: TempDir,
    token: String,
    server: Server,
}

impl Story {
    fn start() -> Self {
        let folder = tempdir().unwrap();
        let token = operator_key(folder.path(), &FAST);
        let server = Server::start(folder.path(), &FAST);
        Self {
            folder,
            token,
            server,
        }
    }

    fn count(&self) -> i64 {
        let database = Connection::open(self.folder.path().join("keywright.db")).unwrap();
        database
            .query_row("SELECT count(*) FROM keywright_keys", [], |row| row.get(0))
            .unwrap()
    }

    /// Sends a request with these header lines and this body.
    fn send(&self, start: &str, headers: &str, body: &[u8]) -> Response {
        let head = format!(
            "{start} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        );
        self.server.raw([head.as_bytes(), body].concat())
    }
}

#[test]
fn bad_bodies_and_headers_are_rejected_with_their_codes() {
    let story = Story::start();
    let bearer = format!("authorization: Bearer {}\r\n", story.token);
    let json = format!("{bearer}content-type: application/json\r\n");
    let good = br#"{"name":"n"}"#;
    let post = "POST /v1/api-keys";
    let megabyte = vec![b' '; 1_000_000];
    let long = format!("authorization: Bearer {}\r\n", "x".repeat(100_000));
    let cut = format!("authorization: Bearer {}\r\n", &story.token[..73]);
    let other = format!(
        "authorization: Bearer {}\r\n",
        story.token.replacen("live", "test", 1)
    );
    let mut changed = story.token.clone().into_bytes();
    changed[40] = if changed[40] == b'a' { b'b' } else { b'a' };
    let changed = format!(
        "authorization: Bearer {}\r\n",
        String::from_utf8(changed).unwrap()
    );
    let foreign = format!("authorization: Bearer {}é\r\n", story.token);
    let form = format!("{bearer}content-type: application/x-www-form-urlencoded\r\n");
    let in_query = format!("POST /v1/api-keys?token={}&access_token={0}", story.token);
    for (what, start, headers, body, status, code) in [
        (
            "no body",
            post,
            json.as_str(),
            &b""[..],
            400,
            "invalid_json",
        ),
        ("not JSON", post, &json, b"name=x", 400, "invalid_json"),
        (
            "not UTF-8",
            post,
            &json,
            b"{\"name\":\"\xff\"}",
            400,
            "invalid_json",
        ),
        ("a list", post, &json, b"[]", 400, "invalid_json"),
        ("no name", post, &json, b"{}", 400, "validation_failed"),
        (
            "a number for a name",
            post,
            &json,
            b"{\"name\":1}",
            400,
            "validation_failed",
        ),
        (
            "two names",
            post,
            &json,
            br#"{"name":"a","name":"b"}"#,
            400,
            "invalid_json",
        ),
        (
            "an unknown field",
            post,
            &json,
            br#"{"name":"a","b":1}"#,
            400,
            "validation_failed",
        ),
        (
            "a megabyte",
            post,
            &json,
            &megabyte,
            413,
            "payload_too_large",
        ),
        (
            "a form",
            post,
            &form,
            b"name=x",
            415,
            "unsupported_media_type",
        ),
        (
            "no type",
            post,
            &bearer,
            good,
            415,
            "unsupported_media_type",
        ),
        ("no key", post, "", good, 401, "missing_token"),
        (
            "an empty header",
            post,
            "authorization:\r\n",
            good,
            401,
            "missing_token",
        ),
        (
            "another scheme",
            post,
            "authorization: Basic eDp4\r\n",
            good,
            401,
            "missing_token",
        ),
        (
            "two headers",
            post,
            &bearer.repeat(2),
            good,
            400,
            "invalid_request",
        ),
        ("a long header", post, &long, good, 400, "invalid_request"),
        (
            "a token without its last character",
            post,
            &cut,
            good,
            401,
            "invalid_token",
        ),
        (
            "a token of another environment",
            post,
            &other,
            good,
            401,
            "invalid_token",
        ),
        (
            "a token with a changed character",
            post,
            &changed,
            good,
            401,
            "invalid_token",
        ),
        (
            "a token with other bytes",
            post,
            &foreign,
            good,
            401,
            "invalid_token",
        ),
        (
            "a token in the query",
            &in_query,
            "",
            good,
            401,
            "missing_token",
        ),
        (
            "an unknown path",
            "GET /v1/nowhere",
            &json,
            b"",
            404,
            "not_found",
        ),
        (
            "an unknown path below",
            "GET /v1/api-keys/a/b/c",
            &json,
            b"",
            404,
            "not_found",
        ),
        ("the root", "GET /", &json, b"", 404, "not_found"),
        (
            "a wrong method",
            "PUT /v1/api-keys",
            &json,
            good,
            405,
            "method_not_allowed",
        ),
        (
            "a wrong method elsewhere",
            "POST /healthz",
            "",
            b"",
            405,
            "method_not_allowed",
        ),
    ] {
        let response = story.send(start, headers, body);
        assert_eq!(
            (response.status, response.text("code").as_str()),
            (status, code),
            "{what}"
        );
        assert_eq!(response.json()["statusCode"], status, "{what}");
        assert_eq!(
            response.text("requestId"),
            response.header("x-request-id"),
            "{what}"
        );
        assert_eq!(response.header("cache-control"), "no-store", "{what}");
        assert_eq!(
            response.header("www-authenticate").is_empty(),
            status == 404
                || status == 405
                || status == 413
                || status == 415
                || code == "invalid_json"
                || code == "validation_failed",
            "{what}"
        );
        if status == 405 {
            assert!(!response.header("allow").is_empty(), "{what}");
        }
        assert!(!response.body.contains(&story.token[25..]), "{what}");
    }
    assert_eq!(story.count(), 1);
    let lower = bearer.replace("Bearer", "bearer") + "content-type: application/json\r\n";
    assert_eq!(story.send(post, &lower, good).status, 201);
    assert_eq!(story.count(), 2);
}

#[test]
fn a_body_that_is_too_long_is_rejected_before_its_end() {
    let story = Story::start();
    let mut stream = story.server.connect();
    let request = format!(
        "POST /v1/api-keys HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 1000000\r\n\r\n",
        story.token
    );
    stream.write_all(request.as_bytes()).unwrap();
    assert_eq!(Response::read(&mut stream).unwrap().status, 413);

    // In chunks, without a length: the response comes after 16 KiB.
    let mut stream = story.server.connect();
    let request = request.replace("content-length: 1000000", "transfer-encoding: chunked");
    stream.write_all(request.as_bytes()).unwrap();
    for _ in 0..17 {
        let chunk = [b"400\r\n".as_slice(), &[b' '; 1024], b"\r\n"].concat();
        // The server may close the connection before the last write.
        let _ = stream.write_all(&chunk);
    }
    let response = Response::read(&mut stream).unwrap();
    assert_eq!(response.status, 413, "{response:?}");
    assert_eq!(story.count(), 1);
}

#[test]
fn a_request_that_is_cut_off_stores_nothing() {
    let story = Story::start();
    for cut in [1, 50, 120, 200] {
        let request = format!(
            "POST /v1/api-keys HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: 12\r\n\r\n{{\"name\":",
            story.token
        );
        let mut stream = story.server.connect();
        stream
            .write_all(&request.as_bytes()[..cut.min(request.len())])
            .unwrap();
    }
    assert_eq!(story.server.whoami(&story.token).status, 200);
    assert_eq!(story.count(), 1);
}

#[test]
fn a_request_with_a_missing_or_repeated_host_is_rejected() {
    let story = Story::start();
    for (version, hosts, status) in [
        ("1.1", "", 400),
        ("1.1", "host: a\r\nhost: a\r\n", 400),
        ("1.1", "host: a\r\nHost: b\r\n", 400),
        ("1.1", "host: a@b\r\n", 400),
        ("1.1", "host: localhost:8080\r\n", 200),
        ("1.1", "host:\r\n", 200),
        ("1.0", "", 200),
    ] {
        let request = format!("GET /healthz HTTP/{version}\r\nconnection: close\r\n{hosts}\r\n");
        let response = story.server.raw(request);
        assert_eq!(response.status, status, "{version} {hosts:?}");
        if status == 400 {
            assert_eq!(response.json()["code"], "invalid_host", "{hosts:?}");
        }
    }
}
