//! An HTTP response.

use std::{
    io::{self, BufRead, BufReader, ErrorKind, Read},
    net::TcpStream,
};

use serde_json::Value;

/// An HTTP response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Response {
    /// Reads a response by its `Content-Length`. Returns `None` unless it is complete.
    pub(crate) fn read(stream: &mut TcpStream) -> Option<Self> {
        Self::read_next(&mut BufReader::new(stream)).ok().flatten()
    }

    /// Reads the next of several responses. Returns `None` if the connection is closed before it.
    pub(crate) fn read_next(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return if head.is_empty() {
                    Ok(None)
                } else {
                    Err(ErrorKind::UnexpectedEof.into())
                };
            }
        }
        let status = status(&head).ok_or(ErrorKind::InvalidData)?;
        let mut response = Self {
            status,
            head,
            body: String::new(),
        };
        let length: u64 = match response.header("content-length") {
            // An interim response, such as 100 Continue, has no body and no length.
            "" if status < 200 => 0,
            length => length.parse().map_err(|_| ErrorKind::InvalidData)?,
        };
        if reader.take(length).read_to_string(&mut response.body)? as u64 == length {
            Ok(Some(response))
        } else {
            Err(ErrorKind::UnexpectedEof.into())
        }
    }

    /// Returns the value of a header, or an empty string.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// Returns the status and the body without the id of the request, which always differs.
    pub(crate) fn without_request_id(&self) -> (u16, Value) {
        let mut body = self.json();
        if let Some(members) = body.as_object_mut() {
            members.remove("requestId");
        }
        (self.status, body)
    }

    /// Returns a member of the body that is a string.
    pub(crate) fn text(&self, member: &str) -> String {
        self.json()[member]
            .as_str()
            .unwrap_or_else(|| panic!("no {member}: {self:?}"))
            .to_owned()
    }
}

fn status(head: &str) -> Option<u16> {
    let mut words = head.split(' ');
    words.next().filter(|word| word.starts_with("HTTP/1."))?;
    words.next()?.parse().ok()
}
