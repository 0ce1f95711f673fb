//! The lines of an input.

use std::io::{self, BufRead, ErrorKind, Read};

/// The maximum length of a line, in bytes, without its end.
const MAX_LENGTH: usize = 64 * 1024;

const UTF_8_MARK: &[u8] = b"\xef\xbb\xbf";
const UTF_16_MARKS: [&[u8]; 2] = [b"\xfe\xff", b"\xff\xfe"];

/// A line that is not blank.
#[derive(Debug)]
pub(super) struct Line {
    /// Its number, from 1. Blank lines count.
    pub(super) number: u64,
    /// The length of the input up to the end of the line, in bytes.
    pub(super) end: u64,
    pub(super) text: Result<String, LineError>,
}

/// The reason why a line cannot be read. It contains no part of the line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum LineError {
    #[error("longer than 64 KiB")]
    TooLong,
    #[error("not UTF-8")]
    NotUtf8,
    #[error("contains a NUL byte, so it is probably not UTF-8")]
    Nul,
}

/// Reads lines one by one. A line that is too long is skipped, and never held in memory.
pub(super) struct Lines<R> {
    input: R,
    number: u64,
    end: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) const fn new(input: R) -> Self {
        Self {
            input,
            number: 0,
            end: 0,
        }
    }

    /// Reads the next line, blank or not. Returns `None` at the end of the input.
    fn read(&mut self) -> io::Result<Option<Result<Vec<u8>, LineError>>> {
        let mut line = Vec::new();
        let mut limited = (&mut self.input).take(MAX_LENGTH as u64 + 1);
        let mut length = limited.read_until(b'\n', &mut line)?;
        if length == 0 {
            return Ok(None);
        }
        let is_too_long = line.len() > MAX_LENGTH && !line.ends_with(b"\n");
        if is_too_long {
            length = length.saturating_add(self.input.skip_until(b'\n')?);
        }
        self.number += 1;
        self.end = self.end.saturating_add(length as u64);
        if self.number == 1 {
            if UTF_16_MARKS.iter().any(|mark| line.starts_with(mark)) {
                let message = "it is UTF-16; convert it to UTF-8";
                return Err(io::Error::new(ErrorKind::InvalidData, message));
            }
            if line.starts_with(UTF_8_MARK) {
                line.drain(..UTF_8_MARK.len());
            }
        }
        Ok(Some(if is_too_long {
            Err(LineError::TooLong)
        } else {
            Ok(line)
        }))
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let text = match self.read().transpose()? {
                Ok(Ok(line)) if line.trim_ascii().is_empty() => continue,
                Ok(Ok(line)) if line.contains(&0) => Err(LineError::Nul),
                Ok(Ok(line)) => String::from_utf8(line).map_err(|_| LineError::NotUtf8),
                Ok(Err(error)) => Err(error),
                Err(error) => return Some(Err(error)),
            };
            return Some(Ok(Line {
                number: self.number,
                end: self.end,
                text,
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn read(input: &[u8]) -> Vec<(u64, Result<String, LineError>)> {
        let lines = Lines::new(BufReader::new(input));
        let lines = lines.map(|line| line.unwrap());
        let trimmed = |text: String| text.trim_ascii().to_owned();
        lines
            .map(|line| (line.number, line.text.map(trimmed)))
            .collect()
    }

    fn ok(number: u64, text: &str) -> (u64, Result<String, LineError>) {
        (number, Ok(text.to_owned()))
    }

    #[test]
    fn blank_lines_are_skipped_and_count() {
        let text = b"\xef\xbb\xbf{1}\r\n\r\n \t\n{2}\n\n{3}";
        assert_eq!(read(text), [ok(1, "{1}"), ok(4, "{2}"), ok(6, "{3}")]);
        assert_eq!(read(b""), []);
        // A byte order mark belongs to the start of the file.
        assert_eq!(read("\n\u{feff}x".as_bytes()), [ok(2, "\u{feff}x")]);
    }

    #[test]
    fn a_line_that_is_too_long_is_one_line() {
        let longest = "x".repeat(MAX_LENGTH);
        for too_long in [1, 2, MAX_LENGTH, 10 * MAX_LENGTH] {
            let too_long = "x".repeat(MAX_LENGTH + too_long);
            let text = format!("a\n{longest}\n{too_long}\n{longest}\n{too_long}");
            assert_eq!(
                read(text.as_bytes()),
                [
                    ok(1, "a"),
                    ok(2, &longest),
                    (3, Err(LineError::TooLong)),
                    ok(4, &longest),
                    (5, Err(LineError::TooLong)),
                ]
            );
            let last = Lines::new(BufReader::new(text.as_bytes())).last();
            assert_eq!(last.unwrap().unwrap().end, text.len() as u64);
        }
    }

    #[test]
    fn a_line_in_another_encoding_has_an_error() {
        let text = b"{\"name\": \"J\xf6rg\"}\n{\0}\0\nx";
        assert_eq!(
            read(text),
            [
                (1, Err(LineError::NotUtf8)),
                (2, Err(LineError::Nul)),
                ok(3, "x")
            ]
        );
        for bytes in [u16::to_be_bytes, u16::to_le_bytes] {
            let text: Vec<u8> = "\u{feff}{}\n".encode_utf16().flat_map(bytes).collect();
            let first = Lines::new(BufReader::new(&*text)).next().unwrap();
            assert!(first.unwrap_err().to_string().contains("UTF-16"));
        }
    }
}
