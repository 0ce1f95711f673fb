//! The id of a request.

use std::{fmt, sync::Arc};

/// The id of the request that makes a change: 1 to 40 characters of `A-Za-z0-9._-`. A log contains
/// it, so that an event and the log lines about its request can be found together.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The maximum length, in bytes.
    pub const MAX_LENGTH: usize = 40;

    /// Parses the id of a request.
    ///
    /// # Errors
    ///
    /// [`RequestIdError`] if the text is empty, too long, or contains another character.
    pub fn parse(text: &str) -> Result<Self, RequestIdError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if (1..=Self::MAX_LENGTH).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(RequestIdError)
        }
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

crate::text::parsed_text!(RequestId, RequestIdError);

/// An error from [`RequestId::parse`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a request id must be 1 to 40 letters, digits, dots, hyphens and underscores")]
#[non_exhaustive]
pub struct RequestIdError;
