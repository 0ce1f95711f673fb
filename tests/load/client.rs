//! A connection that is kept, requests, and answers.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use serde_json::Value;

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
        let answer = Answer::read(&mut self.0).unwrap();
        let answer = answer.expect("the server has closed a connection in use");
        assert_eq!(answer.header("cache-control"), "no-store", "{answer:?}");
        assert!(!answer.header("x-request-id").is_empty(), "{answer:?}");
        answer
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    body: String,
}

impl Answer {
    /// Reads one answer; `None` where the connection ends before it.
    pub(crate) fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return if head.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        }
        let mut words = head.split(' ');
        assert!(words.next().unwrap().starts_with("HTTP/1."), "{head}");
        let mut answer = Self {
            status: words.next().unwrap().parse().unwrap(),
            head,
            body: String::new(),
        };
        let length = answer.header("content-length");
        // An interim answer has no body, and says so by saying nothing.
        let length: u64 = match length {
            "" if answer.status < 200 => 0,
            length => length.parse().unwrap(),
        };
        if reader.take(length).read_to_string(&mut answer.body)? as u64 == length {
            Ok(Some(answer))
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// The value of a header, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The answer, if that is its status.
    pub(crate) fn expect(self, status: u16, of: &str) -> Self {
        assert_eq!(self.status, status, "{of}: {self:?}");
        self
    }
}
