//! A client receives the error of a request that is rejected before the server has read its body,
//! even through a proxy and while the client is still sending.

use std::{
    io::{BufReader, Write},
    net::{SocketAddr, TcpStream},
};

use tempfile::{TempDir, tempdir};

use crate::support::{FAST_UNLIMITED, Nginx, Response, Server, connect, operator_key};

/// The lengths of bodies that a proxy sends in many pieces, in bytes.
const LENGTHS: [usize; 3] = [66_000, 256 * 1024, 1024 * 1024];

/// The number of times that each upload is repeated. Without draining, most of them failed.
const REPEATS: usize = 5;

struct Story {
    folder: TempDir,
    token: String,
    server: Server,
}

impl Story {
    fn start() -> Self {
        let folder = tempdir().unwrap();
        let token = operator_key(folder.path(), &FAST_UNLIMITED[..2]);
        let arguments = [&FAST_UNLIMITED[..], &["--listen", "unix:k.sock"]].concat();
        let server = Server::start(folder.path(), &arguments);
        Self {
            folder,
            token,
            server,
        }
    }

    /// Starts an nginx that passes requests on to the server with these directives.
    fn nginx(&self, directives: &str) -> Nginx {
        self.nginx_to(&self.server.address.to_string(), directives)
    }

    /// Starts an nginx that passes requests on to an address of the server.
    fn nginx_to(&self, address: &str, directives: &str) -> Nginx {
        let http = format!(
            "upstream keywright {{ server {address}; keepalive 4; }}\n\
             server {{\nlisten {{address}};\nclient_max_body_size 0;\n\
             location / {{ proxy_pass http://keywright; {directives} }}\n}}"
        );
        Nginx::start(self.folder.path(), &http)
    }

    /// Uploads bodies of every length to an address, with and without a valid token and
    /// `Expect: 100-continue`. Asserts that each response is the error of the server.
    fn assert_rejected(&self, address: SocketAddr) {
        for length in LENGTHS {
            for expect in ["", "expect: 100-continue\r\n"] {
                for (token, status, code) in [
                    ("", 401, "missing_token"),
                    (self.token.as_str(), 413, "payload_too_large"),
                ] {
                    for _ in 0..REPEATS {
                        let head = head(token, expect, length);
                        let response = upload(connect(address), &head, length);
                        assert_eq!(response.status, status, "{length} {expect} {response:?}");
                        assert_eq!(response.text("code"), code);
                    }
                }
            }
        }
    }
}

/// Returns the head of a request to create a key.
fn head(token: &str, headers: &str, length: usize) -> String {
    let authorization = if token.is_empty() {
        String::new()
    } else {
        format!("authorization: Bearer {token}\r\n")
    };
    format!(
        "POST /v1/api-keys HTTP/1.1\r\nhost: x\r\n{authorization}{headers}\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// Sends a whole request, and only then reads the response. With `Expect`, waits for the response
/// to the head first, and sends the body only if the server asks for it.
fn upload(mut stream: TcpStream, head: &str, length: usize) -> Response {
    stream.write_all(head.as_bytes()).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    if head.contains("100-continue") {
        let response = Response::read_next(&mut reader).unwrap().unwrap();
        if response.status != 100 {
            return response;
        }
    }
    for piece in vec![b' '; length].chunks(16 * 1024) {
        stream.write_all(piece).unwrap();
    }
    Response::read_next(&mut reader).unwrap().unwrap()
}

#[test]
fn an_early_rejection_is_not_a_502_behind_nginx() {
    let story = Story::start();
    let nginx = story.nginx("");
    story.assert_rejected(nginx.address);
}

#[test]
fn an_early_rejection_is_not_a_502_behind_nginx_that_keeps_connections() {
    let story = Story::start();
    let nginx = story.nginx("proxy_http_version 1.1; proxy_set_header Connection \"\";");
    story.assert_rejected(nginx.address);
}

#[test]
fn an_early_rejection_is_not_a_502_behind_nginx_that_does_not_buffer_requests() {
    let story = Story::start();
    let nginx = story.nginx("proxy_http_version 1.1; proxy_request_buffering off;");
    story.assert_rejected(nginx.address);
}

#[test]
fn an_early_rejection_is_not_a_502_behind_nginx_that_uses_a_unix_socket() {
    let story = Story::start();
    let socket = format!("unix:{}", story.folder.path().join("k.sock").display());
    let nginx = story.nginx_to(
        &socket,
        "proxy_http_version 1.1; proxy_set_header Connection \"\";",
    );
    story.assert_rejected(nginx.address);
}

#[test]
fn an_early_rejection_reaches_a_client_that_is_still_sending() {
    let story = Story::start();
    story.assert_rejected(story.server.address);
    let length = 8_000_000;
    let response = upload(story.server.connect(), &head("", "", length), length);
    assert_eq!(response.status, 401);
}

#[test]
fn a_connection_stays_open_after_a_drained_body() {
    let story = Story::start();
    let mut stream = story.server.connect();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut rejected = |before: &[u8], after: &[u8], status| {
        stream.write_all(before).unwrap();
        // The response arrives before the rest of the body is sent.
        let response = Response::read_next(&mut reader).unwrap().unwrap();
        assert_eq!(response.status, status);
        assert_eq!(response.header("connection"), "");
        stream.write_all(after).unwrap();
    };
    for length in LENGTHS {
        rejected(head("", "", length).as_bytes(), &vec![b' '; length], 401);
    }
    // The server reads a body of unknown length until it is too long.
    let chunk = format!("4001\r\n{}\r\n", " ".repeat(0x4001));
    let chunked =
        head(&story.token, "", 0).replace("content-length: 0", "transfer-encoding: chunked");
    let rest = chunk.repeat(50) + "0\r\n\r\n";
    rejected((chunked + &chunk).as_bytes(), rest.as_bytes(), 413);
    rejected(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n", b"", 200);
}

#[test]
fn a_connection_is_closed_if_the_body_may_not_follow() {
    let story = Story::start();
    for (headers, length) in [("expect: 100-continue\r\n", 10), ("", 1 << 40)] {
        let mut stream = story.server.connect();
        stream
            .write_all(head("", headers, length).as_bytes())
            .unwrap();
        let response = Response::read(&mut stream).unwrap();
        assert_eq!(response.status, 401);
        assert_eq!(response.header("connection"), "close");
    }
}
