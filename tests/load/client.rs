//! Requests on a persistent connection.

use std::{
    io::{self, BufReader, Write},
    net::{SocketAddr, TcpStream},
    time::Instant,
};

pub(crate) use crate::response::Response;
use crate::wait::PATIENCE;

#[expect(
    clippy::disallowed_methods,
    reason = "measures durations that a client sees"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Opens a connection on which no read or write blocks forever.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Whether a read or write has timed out because the other end is open but idle.
pub(crate) fn is_timeout(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Returns a request with a JSON body, or without a body if it is empty.
pub(crate) fn request(method: &str, path: &str, token: &str, body: &str) -> String {
    request_with(method, path, token, "", body)
}

/// Returns a request with further header lines, each with a line end.
pub(crate) fn request_with(
    method: &str,
    path: &str,
    token: &str,
    headers: &str,
    body: &str,
) -> String {
    let body = if body.is_empty() {
        "\r\n".into()
    } else {
        let length = body.len();
        format!("content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
    };
    format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\n{headers}authorization: Bearer {token}\r\n{body}"
    )
}

/// A client with a persistent connection.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self(BufReader::new(connect(address)))
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, token: &str, body: &str) -> Response {
        self.exchange(&request(method, path, token, body))
    }

    /// Sends a request, and returns its response.
    pub(crate) fn exchange(&mut self, request: &str) -> Response {
        self.write(request);
        self.read()
    }

    pub(crate) fn write(&mut self, requests: &str) {
        self.0.get_mut().write_all(requests.as_bytes()).unwrap();
    }

    pub(crate) fn read(&mut self) -> Response {
        let response = Response::read_next(&mut self.0).unwrap();
        let response = response.expect("the server has closed a connection in use");
        assert_eq!(response.header("cache-control"), "no-store", "{response:?}");
        assert!(!response.header("x-request-id").is_empty(), "{response:?}");
        response
    }
}

impl Response {
    /// Asserts the status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16, what: &str) -> Self {
        assert_eq!(self.status, status, "{what}: {self:?}");
        self
    }
}
