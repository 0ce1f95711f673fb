//! Reading of a query string.

use std::borrow::Cow;

use crate::{
    bounds::MAX_QUERY_PARAMETERS,
    error::{ApiError, FieldError},
};

pub(crate) const UNKNOWN: &str = "unknown query parameter";

/// Rejects every parameter.
pub(crate) fn none(query: Option<&str>) -> Result<(), ApiError> {
    for_each(query, &[], |_, _| Err(UNKNOWN))
}

/// Calls `read` with each known parameter, and returns all errors together. A duplicate or unknown
/// parameter is an error.
pub(crate) fn for_each(
    query: Option<&str>,
    known: &[&'static str],
    read: impl FnMut(&str, &str) -> Result<(), &'static str>,
) -> Result<(), ApiError> {
    read_each(query, known, false, read)
}

/// Calls `read` like [`for_each`], but a known parameter may be repeated. `read` must reject more
/// than [`MAX_QUERY_PARAMETERS`] repeats, because no further parameter is read.
pub(crate) fn for_each_repeatable(
    query: Option<&str>,
    known: &[&'static str],
    read: impl FnMut(&str, &str) -> Result<(), &'static str>,
) -> Result<(), ApiError> {
    read_each(query, known, true, read)
}

fn read_each(
    query: Option<&str>,
    known: &[&'static str],
    repeatable: bool,
    mut read: impl FnMut(&str, &str) -> Result<(), &'static str>,
) -> Result<(), ApiError> {
    let query = query.unwrap_or_default();
    let mut seen: Vec<Cow<'_, str>> = Vec::new();
    let mut errors = Vec::new();
    if !is_utf8(query) {
        return Err(ApiError::field("", "the query must be UTF-8"));
    }
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let field = known.iter().copied().find(|known| *known == name);
        let result = if !repeatable && seen.contains(&name) {
            Err("duplicate query parameter")
        } else if field.is_none() {
            Err(UNKNOWN)
        } else {
            read(&name, &value)
        };
        if let Err(message) = result {
            errors.push(FieldError {
                // An unknown name is the client's text. It could be a token, so it is not repeated.
                field: field.unwrap_or_default().into(),
                message: message.into(),
            });
        }
        seen.push(name);
        if seen.len() > MAX_QUERY_PARAMETERS {
            break;
        }
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(ApiError::validation(errors))
    }
}

/// Whether the percent-decoded query is UTF-8. The parser replaces invalid bytes with U+FFFD, and
/// so would read a value that the client did not send.
fn is_utf8(query: &str) -> bool {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut decoded = Vec::with_capacity(query.len());
    let mut rest = query.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let encoded = match after {
            [high, low, after @ ..] if first == b'%' => digit(*high)
                .zip(digit(*low))
                .and_then(|(high, low)| u8::try_from(high * 16 + low).ok())
                .map(|byte| (byte, after)),
            _ => None,
        };
        let (byte, after) = encoded.unwrap_or((first, after));
        decoded.push(byte);
        rest = after;
    }
    std::str::from_utf8(&decoded).is_ok()
}
