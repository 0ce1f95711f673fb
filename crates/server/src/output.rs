//! Prints the results of the commands.

use std::io::{ErrorKind, Write, stderr, stdout};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::terminal_escape::write_json;

/// Prints a value without secrets as JSON, on one line.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    let mut line = Vec::new();
    write_json(&mut line, &serde_json::to_string(value)?)?;
    write(&line).map(drop)
}

/// Prints whole lines without secrets.
pub(crate) fn lines(text: &str) -> Result<()> {
    write(text.as_bytes()).map(drop)
}

/// Prints whole lines without secrets. Returns `false` if the reader has closed the pipe, which is
/// not an error: it has seen enough.
pub(crate) fn write(lines: &[u8]) -> Result<bool> {
    let mut out = stdout().lock();
    match out.write_all(lines).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("cannot write to standard output"),
    }
}

/// Prints a remark on standard error, if it can be written.
pub(crate) fn note(text: &str) {
    let _ = writeln!(stderr(), "{text}");
}
