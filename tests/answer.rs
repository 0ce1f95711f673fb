//! An HTTP answer.

use std::{
    io::{self, BufRead, BufReader, ErrorKind, Read},
    net::TcpStream,
};

use serde_json::Value;

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    /// Reads one answer by its `Content-Length`: `None` unless it comes whole.
    pub(crate) fn read(stream: &mut TcpStream) -> Option<Self> {
        Self::read_next(&mut BufReader::new(stream)).ok().flatten()
    }

    /// Reads the next of many answers; `None` where the connection ends before it.
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
        let mut answer = Self {
            status,
            head,
            body: String::new(),
        };
        let length: u64 = match answer.header("content-length") {
            // An interim answer has no body, and says so by saying nothing.
            "" if status < 200 => 0,
            length => length.parse().map_err(|_| ErrorKind::InvalidData)?,
        };
        if reader.take(length).read_to_string(&mut answer.body)? as u64 == length {
            Ok(Some(answer))
        } else {
            Err(ErrorKind::UnexpectedEof.into())
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

    /// A member of the answer that is a string.
    pub(crate) fn text(&self, member: &str) -> String {
        self.json()[member]
            .as_str()
            .unwrap_or_else(|| panic!("no {member}: {self:?}"))
            .to_owned()
    }
}

/// The status of an answer that is one of HTTP.
fn status(head: &str) -> Option<u16> {
    let mut words = head.split(' ');
    words.next().filter(|word| word.starts_with("HTTP/1."))?;
    words.next()?.parse().ok()
}
