//! Entity tags: the version of a key in the header `ETag`, and preconditions on it.

use std::{collections::BTreeSet, fmt::Display};

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::{bounds::MAX_ENTITY_TAGS, error::ApiError};

/// A version that no key has.
const NO_VERSION: u64 = 0;

/// The condition of a request in `If-Match` (RFC 9110, section 13.1.1).
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Precondition {
    /// The request has no condition, or `*`: any version of a key that exists.
    None,
    /// The key must have one of these versions. There is at least one.
    Versions(BTreeSet<u64>),
}

/// Returns the tag of a version of a key. The tag is strong: two responses with the same tag
/// contain the same settings.
fn tag(version: impl Display) -> String {
    format!(r#""{version}""#)
}

/// Adds the header `ETag` to a response.
pub(super) fn with_etag<B>(mut response: Response<B>, version: u64) -> Response<B> {
    // Digits and quotes are valid in a header.
    if let Ok(tag) = HeaderValue::try_from(tag(version)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Reads `If-Match`, which is optional.
pub(super) fn if_match(headers: &HeaderMap) -> Result<Precondition, ApiError> {
    let mut lines = headers.get_all(header::IF_MATCH).iter();
    let Some(first) = lines.next() else {
        return Ok(Precondition::None);
    };
    let mut text = first.as_bytes().to_vec();
    for line in lines {
        text.push(b',');
        text.extend_from_slice(line.as_bytes());
    }
    if text.trim_ascii() == b"*" {
        return Ok(Precondition::None);
    }
    versions(&text).map(Precondition::Versions).ok_or_else(|| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "invalid_if_match",
            "If-Match must be * or a list of up to 16 entity tags, such as \"1\"",
        )
    })
}

/// Returns the versions in a list of entity tags, or `None` if the list is malformed or too long.
///
/// A weak tag matches nothing (section 13.1.1: the comparison is strong), and neither does a tag
/// that is not a version. If no tag in the list is a version, the list gets a version that no key
/// has.
fn versions(list: &[u8]) -> Option<BTreeSet<u64>> {
    let mut versions = BTreeSet::new();
    let mut tags = 0;
    let mut rest = list;
    loop {
        rest = rest.trim_ascii_start();
        // A list may have empty elements (section 5.6.1.2).
        if let Some(after) = rest.strip_prefix(b",") {
            rest = after;
            continue;
        }
        if rest.is_empty() {
            break;
        }
        let is_weak = rest.starts_with(b"W/");
        let quoted = rest.strip_prefix(b"W/").unwrap_or(rest);
        let opaque = quoted.strip_prefix(b"\"")?;
        let length = opaque.iter().position(|byte| *byte == b'"')?;
        let (opaque, after) = opaque.split_at_checked(length)?;
        let is_valid = |byte: &u8| matches!(byte, b'!' | b'#'..=b'~' | 0x80..);
        if !opaque.iter().all(is_valid) {
            return None;
        }
        rest = after.strip_prefix(b"\"")?.trim_ascii_start();
        if !rest.is_empty() && !rest.starts_with(b",") {
            return None;
        }
        tags += 1;
        if tags > MAX_ENTITY_TAGS {
            return None;
        }
        let version = std::str::from_utf8(opaque).ok().and_then(version);
        versions.extend(version.filter(|_| !is_weak));
    }
    if tags == 0 {
        return None;
    }
    if versions.is_empty() {
        versions.insert(NO_VERSION);
    }
    Some(versions)
}

/// Parses a version that is written as [`tag`] writes it.
fn version(text: &str) -> Option<u64> {
    let version: u64 = text.parse().ok()?;
    (version.to_string() == text).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Option<Precondition> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::IF_MATCH, HeaderValue::from_str(line).unwrap());
        }
        if_match(&headers).ok()
    }

    #[test]
    fn a_condition_is_a_list_of_strong_tags_or_a_star() {
        for (lines, expected) in [
            (&[r#""1""#][..], &[1][..]),
            (&[r#""3", "2","3""#], &[2, 3]),
            (&[r#" , "3" ,, "#], &[3]),
            (&[r#""1""#, r#""2""#], &[1, 2]),
            (&[r#""18446744073709551615""#], &[u64::MAX]),
            // None of these is the tag of a version.
            (&[r#"W/"1""#], &[NO_VERSION]),
            (&[r#""a,b", """#], &[NO_VERSION]),
            (&[r#""01", "+1", "18446744073709551616""#], &[NO_VERSION]),
            (&[r#"W/"1", "2""#], &[2]),
        ] {
            let expected = expected.iter().copied().collect();
            assert_eq!(
                read(lines),
                Some(Precondition::Versions(expected)),
                "{lines:?}"
            );
        }
        for lines in [&[][..], &["*"], &[" * "]] {
            assert_eq!(read(lines), Some(Precondition::None), "{lines:?}");
        }
    }

    #[test]
    fn a_malformed_condition_is_rejected() {
        let long = [r#""1""#; MAX_ENTITY_TAGS + 1].join(",");
        for lines in [
            &[""][..],
            &[","],
            &["1"],
            &[r#"""#],
            &[r#""1"#],
            &[r#"1""#],
            &[r#""1" "2""#],
            &[r#""1"2"#],
            &[r#"w/"1""#],
            &[r#"W/ "1""#],
            &["W/1"],
            &[r#""a b""#],
            &["**"],
            &["*", "*"],
            &[r#"*, "1""#],
            &["'1'"],
            &[&long],
        ] {
            assert_eq!(read(lines), None, "{lines:?}");
        }
    }
}
