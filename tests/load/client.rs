//! A connection that is kept, requests, and answers.

use std::{
    io::{self, BufReader, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

pub(crate) use crate::answer::Answer;

/// Longest that anything may take that is not meant to be slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

#[expect(
    clippy::disallowed_methods,
    reason = "spans of time between what a client does and sees"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Whether a connection is open and silent.
pub(crate) fn is_timeout(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// A request with a JSON body, or with none where it is empty.
pub(crate) fn request(method: &str, path: &str, token: &str, body: &str) -> String {
    let body = if body.is_empty() {
        "\r\n".into()
    } else {
        let length = body.len();
        format!("content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
    };
    format!("{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{body}")
}

/// A connection that is kept for many requests.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self(BufReader::new(connect(address)))
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, token: &str, body: &str) -> Answer {
        self.write(&request(method, path, token, body));
        self.read()
    }

    pub(crate) fn write(&mut self, requests: &str) {
        self.0.get_mut().write_all(requests.as_bytes()).unwrap();
    }

    pub(crate) fn read(&mut self) -> Answer {
        let answer = Answer::read_next(&mut self.0).unwrap();
        let answer = answer.expect("the server has closed a connection in use");
        assert_eq!(answer.header("cache-control"), "no-store", "{answer:?}");
        assert!(!answer.header("x-request-id").is_empty(), "{answer:?}");
        answer
    }
}

impl Answer {
    /// The answer, if that is its status.
    pub(crate) fn expect(self, status: u16, of: &str) -> Self {
        assert_eq!(self.status, status, "{of}: {self:?}");
        self
    }
}
