//! Clients that are as slow as possible, until the server closes the connection.
//!
//! The unit tests of `connections.rs` check the limits exactly, on a manual clock. Here a
//! connection must not be closed before its limit, but must be closed eventually.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use crate::{
    client::{connect, is_timeout, now, request},
    tally::Tally,
    wait::PATIENCE,
};

/// The limit from the first byte of a head to its last.
const HEAD: Duration = Duration::from_secs(15);

/// The limit of an idle connection, which the program gets as an argument.
const IDLE: Duration = Duration::from_secs(30);

/// The limit from the end of a head to the response.
const REQUEST: Duration = Duration::from_secs(30);

/// The pause of a client that sends byte by byte.
const PAUSE: Duration = Duration::from_millis(200);

/// A kind of slow client.
pub(crate) type SlowClient = fn(SocketAddr, &str, &mut Tally);

/// All kinds. Each takes up to half a minute.
pub(crate) const ALL: [SlowClient; 6] = [
    silent,
    silent_after_a_response,
    head_byte_by_byte,
    body_byte_by_byte,
    missing_body,
    unread_responses,
];

fn silent(address: SocketAddr, _: &str, tally: &mut Tally) {
    let client = Slow::connect(address, "");
    client.assert_closed(HEAD, &[0, 408], "slow: silent", tally);
}

fn silent_after_a_response(address: SocketAddr, token: &str, tally: &mut Tally) {
    let client = Slow::connect(address, &request("GET", "/v1/whoami", token, ""));
    client.assert_closed(IDLE, &[200], "slow: idle", tally);
}

fn head_byte_by_byte(address: SocketAddr, _: &str, tally: &mut Tally) {
    let client = Slow::connect(address, "GET /healthz HTTP/1.1\r\na: ").byte_by_byte();
    client.assert_closed(HEAD, &[0, 408], "slow: a head byte by byte", tally);
}

fn body_byte_by_byte(address: SocketAddr, token: &str, tally: &mut Tally) {
    let client = Slow::connect(address, &create_without_body(token)).byte_by_byte();
    client.assert_closed(REQUEST, &[408], "slow: a body byte by byte", tally);
}

fn missing_body(address: SocketAddr, token: &str, tally: &mut Tally) {
    let client = Slow::connect(address, &create_without_body(token));
    client.assert_closed(REQUEST, &[408], "slow: a missing body", tally);
}

/// Requests more than fits into the socket buffers of both ends, at little cost for the server.
fn unread_responses(address: SocketAddr, token: &str, tally: &mut Tally) {
    let mut stream = connect(address);
    let requests = request("GET", "/openapi.json", token, "").repeat(100);
    stream.set_write_timeout(Some(PAUSE)).unwrap();
    let start = now();
    while start.elapsed() < PATIENCE {
        match stream.write(requests.as_bytes()) {
            Err(error) if !is_timeout(error.kind()) => {
                tally.add("slow: unread responses", 0, start.elapsed());
                return;
            }
            _ => {}
        }
    }
    panic!("the connection of a client that reads nothing is still open");
}

/// Returns the head of a create with a long body.
fn create_without_body(token: &str) -> String {
    let length = 9_999;
    let mut create = request("POST", "/v1/api-keys", token, &" ".repeat(length));
    create.truncate(create.len() - length);
    create
}

/// A connection on which a client has sent something.
struct Slow {
    stream: TcpStream,
    /// A time before the server accepted the connection.
    start: Instant,
    byte_by_byte: bool,
}

impl Slow {
    fn connect(address: SocketAddr, bytes: &str) -> Self {
        let start = now();
        let mut stream = connect(address);
        stream.write_all(bytes.as_bytes()).unwrap();
        stream.set_read_timeout(Some(PAUSE)).unwrap();
        Self {
            stream,
            start,
            byte_by_byte: false,
        }
    }

    /// Sends a byte in each pause from now on.
    fn byte_by_byte(mut self) -> Self {
        self.byte_by_byte = true;
        self
    }

    /// Waits until the server closes the connection, and asserts that it does not do so before the
    /// limit. The status is 0 if there is no response.
    fn assert_closed(
        mut self,
        limit: Duration,
        statuses: &[u16],
        what: &'static str,
        tally: &mut Tally,
    ) {
        let mut received = Vec::new();
        let mut piece = [0; 4096];
        loop {
            assert!(self.start.elapsed() < PATIENCE, "{what}: still open");
            match self.stream.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => received.extend_from_slice(&piece[..count]),
                // A server that has closed the connection resets it if it receives more data.
                Err(error) if !is_timeout(error.kind()) => break,
                Err(_) if self.byte_by_byte && self.stream.write_all(b"x").is_err() => break,
                Err(_) => {}
            }
        }
        let after = self.start.elapsed();
        let text = String::from_utf8(received).unwrap();
        let status = text
            .split(' ')
            .nth(1)
            .map_or(0, |status| status.parse().unwrap());
        tally.add(what, status, after);
        if status == 503 {
            // A stalled disk or Redis has made the store unavailable.
            return;
        }
        assert!(statuses.contains(&status), "{what}: {text}");
        assert!(after >= limit, "{what}: closed after {after:?}");
    }
}
