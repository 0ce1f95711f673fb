//! Prints the results of the commands.

use std::io::{self, ErrorKind, Write, stderr, stdout};

use anyhow::{Context, Result};
use keywright_core::{Attributes, Issued, Key, Timestamp};
use keywright_http_tower::{IssuedJson, KeyView};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{table, terminal_escape::write_json};
use crate::secret_output;

/// Prints the token of a new key alone on a line, or the key as the API returns it.
pub(super) fn issued(issued: &Issued, as_json: bool) -> Result<()> {
    if !as_json {
        return Ok(secret_output::write_line(issued.token.expose())?);
    }
    let json = IssuedJson::new(issued)?;
    let mut out = stdout().lock();
    write_json(&mut out, std::str::from_utf8(json.expose())?)?;
    Ok(out.flush()?)
}

/// Prints a key as a table, or as the API returns it, with its attributes.
pub(super) fn key(key: &Key, now: Timestamp, as_json: bool) -> Result<()> {
    if !as_json {
        return lines(&table::details(key, now));
    }
    let attributes = key.attributes.as_ref().map(Attributes::as_json);
    json(&OperatorView {
        key: KeyView::new(key, now),
        attributes: attributes.map(serde_json::from_str).transpose()?,
    })
}

/// A key with its attributes, which only the operator sees.
#[derive(Serialize)]
struct OperatorView<'a> {
    #[serde(flatten)]
    key: KeyView<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<&'a RawValue>,
}

/// Prints a value without secrets as JSON.
pub(super) fn json(value: &impl Serialize) -> Result<()> {
    let json = serde_json::to_string(value)?;
    ignore_closed_pipe(write_json(&mut stdout().lock(), &json))
}

/// Prints whole lines without secrets.
pub(super) fn lines(text: &str) -> Result<()> {
    let mut out = stdout().lock();
    ignore_closed_pipe(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// Prints a remark on standard error, if it can be written.
pub(super) fn note(text: &str) {
    let _ = writeln!(stderr(), "{text}");
}

/// Returns a number of keys in words.
pub(super) fn key_count(count: u64) -> String {
    match count {
        1 => "1 key".into(),
        count => format!("{count} keys"),
    }
}

/// A closed pipe is not an error: the reader has seen enough.
fn ignore_closed_pipe(result: io::Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}
