//! Clients that are as slow as they can be, and when they are cut off: the README's limits.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use crate::{
    client::{PATIENCE, connect, is_timeout, now, request},
    tally::Tally,
};

/// From the first byte of a head to its last, and from an answer to the next head.
const HEAD: Duration = Duration::from_secs(15);

/// From the end of a head to the answer.
const REQUEST: Duration = Duration::from_secs(30);

/// For an answer that is not read.
const WRITE: Duration = Duration::from_secs(15);

/// How much later it may be on a machine that is busy.
const LATE: Duration = Duration::from_secs(10);

/// How long a client that sends byte by byte waits between.
const DRIP: Duration = Duration::from_millis(200);

/// How a client is slow.
pub(crate) type Slowness = fn(SocketAddr, &str, &mut Tally);

/// Each of them once. They take their time: half a minute at most.
pub(crate) const ALL: [Slowness; 6] = [
    silent,
    silent_after_an_answer,
    head_by_bytes,
    body_by_bytes,
    body_that_never_comes,
    answers_that_are_never_read,
];

fn silent(address: SocketAddr, _: &str, tally: &mut Tally) {
    Slow::new(address, "").await_cut(HEAD, &[0, 408], "slow: silent", tally);
}

fn silent_after_an_answer(address: SocketAddr, token: &str, tally: &mut Tally) {
    let whoami = request("GET", "/v1/whoami", token, "");
    Slow::new(address, &whoami).await_cut(HEAD, &[200], "slow: idle", tally);
}

fn head_by_bytes(address: SocketAddr, _: &str, tally: &mut Tally) {
    let slow = Slow::new(address, "GET /healthz HTTP/1.1\r\na: ").dripping();
    slow.await_cut(HEAD, &[0, 408], "slow: a head by bytes", tally);
}

fn body_by_bytes(address: SocketAddr, token: &str, tally: &mut Tally) {
    let slow = Slow::new(address, &long_create(token)).dripping();
    slow.await_cut(REQUEST, &[408], "slow: a body by bytes", tally);
}

fn body_that_never_comes(address: SocketAddr, token: &str, tally: &mut Tally) {
    let slow = Slow::new(address, &long_create(token));
    slow.await_cut(REQUEST, &[408], "slow: a body that never comes", tally);
}

/// Asks for more than fits into the buffers of both systems, and which costs the server nothing to
/// make: they are full at once.
fn answers_that_are_never_read(address: SocketAddr, token: &str, tally: &mut Tally) {
    let mut stream = connect(address);
    let requests = request("GET", "/openapi.json", token, "").repeat(100);
    stream.set_write_timeout(Some(DRIP)).unwrap();
    let start = now();
    let mut taken = start;
    while start.elapsed() < PATIENCE {
        match stream.write(requests.as_bytes()) {
            Ok(_) => taken = now(),
            Err(error) if is_timeout(error.kind()) => {}
            Err(_) => {
                // What it has taken fills its buffers within what it may be late.
                assert!(taken.elapsed() < WRITE + LATE, "{:?}", taken.elapsed());
                tally.note("slow: answers that are never read", 0, start.elapsed());
                return;
            }
        }
    }
    panic!("a client that reads nothing was not cut off");
}

/// A create whose body is longer than anyone waits for.
fn long_create(token: &str) -> String {
    let length = 9_999;
    let mut create = request("POST", "/v1/api-keys", token, &" ".repeat(length));
    create.truncate(create.len() - length);
    create
}

/// A connection that has sent something.
struct Slow {
    stream: TcpStream,
    start: Instant,
    drips: bool,
}

impl Slow {
    fn new(address: SocketAddr, bytes: &str) -> Self {
        let mut stream = connect(address);
        let start = now();
        stream.write_all(bytes.as_bytes()).unwrap();
        stream.set_read_timeout(Some(DRIP)).unwrap();
        Self {
            stream,
            start,
            drips: false,
        }
    }

    /// Sends a byte now and then.
    fn dripping(mut self) -> Self {
        self.drips = true;
        self
    }

    /// Waits until the server closes, and asserts that it did so in time and not before.
    fn await_cut(
        mut self,
        limit: Duration,
        statuses: &[u16],
        what: &'static str,
        tally: &mut Tally,
    ) {
        let mut received = Vec::new();
        let mut piece = [0; 4096];
        while self.start.elapsed() < PATIENCE {
            match self.stream.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => received.extend_from_slice(&piece[..count]),
                // A server that has closed resets what comes late.
                Err(error) if !is_timeout(error.kind()) => break,
                Err(_) if self.drips && self.stream.write_all(b"x").is_err() => break,
                Err(_) => {}
            }
        }
        let after = self.start.elapsed();
        let text = String::from_utf8(received).unwrap();
        let status = text
            .split(' ')
            .nth(1)
            .map_or(0, |status| status.parse().unwrap());
        assert!(statuses.contains(&status), "{what}: {text}");
        assert!(after < limit + LATE, "{what}: cut off after {after:?}");
        // Both look at clocks of their own.
        assert!(
            after + Duration::from_millis(500) > limit,
            "{what}: {after:?}"
        );
        tally.note(what, status, after);
    }
}
