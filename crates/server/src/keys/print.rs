//! What the commands print.

use std::io::{self, ErrorKind, Write, stderr, stdout};

use anyhow::{Context, Result};
use keywright_core::Issued;
use keywright_http_tower::IssuedJson;
use serde::Serialize;

use super::visible::write_json;
use crate::unbuffered;

/// Prints a token, alone on a line.
pub(super) fn token(issued: &Issued) -> Result<()> {
    Ok(unbuffered::write_line(issued.token.expose())?)
}

/// Prints a key that was issued with its token, as the API answers it.
pub(super) fn issued(issued: &Issued) -> Result<()> {
    let json = IssuedJson::new(issued)?;
    let mut out = stdout().lock();
    write_json(&mut out, std::str::from_utf8(json.expose())?)?;
    Ok(out.flush()?)
}

/// Prints something as JSON. It holds no token.
pub(super) fn json(value: &impl Serialize) -> Result<()> {
    let json = serde_json::to_string(value)?;
    printed(write_json(&mut stdout().lock(), &json))
}

/// Prints whole lines. They hold no token.
pub(super) fn lines(text: &str) -> Result<()> {
    let mut out = stdout().lock();
    printed(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// Says something beside what was asked for, on standard error, if anybody is there to read it.
pub(super) fn note(text: &str) {
    let _ = writeln!(stderr(), "{text}");
}

/// So many keys, in words.
pub(super) fn keys(count: u64) -> String {
    match count {
        1 => "1 key".into(),
        count => format!("{count} keys"),
    }
}

fn printed(done: io::Result<()>) -> Result<()> {
    match done {
        // A reader that has gone away has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done.context("cannot write to standard output"),
    }
}
