//! Reading the query of a request.

use std::borrow::Cow;

use keywright_core::{ListKeys, ListStart, Reach, Status};

use crate::error::{ApiError, FieldError};

/// Longest text that is searched for, in characters.
pub(crate) const MAX_SEARCH_LENGTH: usize = 1024;

/// What a list may be asked for.
pub(super) const LIST: [&str; 5] = ["page", "limit", "search", "status", "cursor"];

/// What a revocation may be asked for.
pub(super) const REVOKE: [&str; 1] = ["cascade"];

/// `?page=&limit=&search=&status=&cursor=`.
pub(super) fn list(query: Option<&str>) -> Result<ListKeys, ApiError> {
    let mut wanted = ListKeys::new();
    let mut page = None;
    for_each(query, &LIST, |name, value| {
        match name {
            "page" => {
                let number = number(value, u32::MAX).ok_or("page must be a whole number from 1")?;
                if matches!(wanted.start, ListStart::After(_)) {
                    return Err("page cannot be given with cursor");
                }
                page = Some(number);
            }
            "limit" => {
                let limit = number(value, ListKeys::MAX_LIMIT);
                wanted.limit = limit.ok_or("limit must be a whole number from 1 to 100")?;
            }
            "search" if value.chars().nth(MAX_SEARCH_LENGTH).is_some() => {
                return Err("search must be at most 1024 characters");
            }
            "search" => wanted.search = Some(value.into()).filter(|text: &String| !text.is_empty()),
            "status" => {
                let all = [Status::Active, Status::Expired, Status::Revoked];
                let status = all.into_iter().find(|status| status.as_str() == value);
                wanted.status = Some(status.ok_or("status must be active, expired or revoked")?);
            }
            "cursor" if page.is_some() => return Err("cursor cannot be given with page"),
            "cursor" => wanted.start = ListStart::After(value.into()),
            _ => return Err(UNKNOWN),
        }
        Ok(())
    })?;
    if let Some(page) = page {
        wanted.start = ListStart::page(page, wanted.limit);
    }
    Ok(wanted)
}

/// `?cascade=`.
pub(super) fn revoke(query: Option<&str>) -> Result<Reach, ApiError> {
    let mut reach = Reach::Key;
    for_each(query, &REVOKE, |name, value| {
        reach = match (name, value) {
            ("cascade", "true") => Reach::Descendants,
            ("cascade", "false") => Reach::Key,
            ("cascade", _) => return Err("cascade must be true or false"),
            _ => return Err(UNKNOWN),
        };
        Ok(())
    })?;
    Ok(reach)
}

/// No parameters at all.
pub(super) fn none(query: Option<&str>) -> Result<(), ApiError> {
    for_each(query, &[], |_, _| Err(UNKNOWN))
}

const UNKNOWN: &str = "a query parameter that is not known should not exist";

/// Hands on each parameter that is known, once, and tells all that is wrong with them.
fn for_each(
    query: Option<&str>,
    known: &[&'static str],
    mut read: impl FnMut(&str, &str) -> Result<(), &'static str>,
) -> Result<(), ApiError> {
    let query = query.unwrap_or_default();
    let mut seen: Vec<Cow<'_, str>> = Vec::new();
    let mut wrong = Vec::new();
    if !is_utf8(query) {
        return Err(ApiError::field("", "the query must be UTF-8".into()));
    }
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let field = known.iter().copied().find(|known| *known == name);
        let message = if seen.contains(&name) {
            Err("a query parameter is given twice")
        } else if field.is_none() {
            Err(UNKNOWN)
        } else {
            read(&name, &value)
        };
        if let Err(message) = message {
            wrong.push(FieldError {
                // Only names that are known are sent back.
                field: field.unwrap_or_default().into(),
                message: message.into(),
            });
        }
        seen.push(name);
        if seen.len() > 16 {
            break;
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(ApiError::validation(wrong))
    }
}

/// Whether what is percent-encoded is UTF-8. The parser puts replacement characters in place of what
/// is not, and so reads what nobody has written.
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

/// A whole number from 1, in plain digits.
fn number(text: &str, most: u32) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|number| digits && (1..=most).contains(number))
}
