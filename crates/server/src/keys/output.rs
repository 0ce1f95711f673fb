//! Prints keys.

use anyhow::Result;
use keywright_core::{Attributes, Issued, Key, Timestamp};
use keywright_http_tower::{IssuedJson, KeyView};
use serde::Serialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::table;
pub(super) use crate::output::{json, lines, note};
use crate::{secret_output, table::Output, terminal_escape::write_json};

/// More than the length of the JSON of a key with its token, so that the buffer does not grow and
/// leave a copy of the token behind.
const MAX_ISSUED_LENGTH: usize = 32 * 1024;

/// Prints the token of a new key alone on a line, or the key as the API returns it.
pub(super) fn issued(issued: &Issued, as_json: bool) -> Result<()> {
    if !as_json {
        return Ok(secret_output::write_line(issued.token.expose())?);
    }
    let json = IssuedJson::new(issued)?;
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_ISSUED_LENGTH));
    write_json(&mut *line, std::str::from_utf8(json.expose())?)?;
    Ok(secret_output::write(&line)?)
}

/// Prints a key as a table, or as the API returns it, with its attributes.
pub(super) fn key(key: &Key, now: Timestamp, as_json: bool) -> Result<()> {
    if !as_json {
        return lines(&table::details(key, now, Output::standard(false)));
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

/// Returns a number of keys in words.
pub(crate) fn key_count(count: u64) -> String {
    match count {
        1 => "1 key".into(),
        count => format!("{count} keys"),
    }
}
