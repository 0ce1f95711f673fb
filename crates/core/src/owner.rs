//! The owner of a key.

use std::{fmt, sync::Arc};

/// The person or service that a key belongs to: a name that the host chooses, 1 to 128 visible
/// ASCII characters, such as `user:42`. A key never changes its owner. Keys that it creates, and
/// its successor in a rotation, have the same owner.
///
/// A caller whose only permissions for keys are `api_keys.own:…` reaches the keys of its owner and
/// no others.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
// Not `Arc<str>`, because one word is enough in each cached key.
pub struct Owner(Arc<String>);

impl Owner {
    /// The maximum length, in bytes.
    pub const MAX_LENGTH: usize = 128;

    /// Parses the name of an owner.
    ///
    /// # Errors
    ///
    /// [`OwnerError`] if the text is empty, too long, or contains another character.
    pub fn parse(text: &str) -> Result<Self, OwnerError> {
        let visible = |byte: u8| byte.is_ascii_graphic();
        if (1..=Self::MAX_LENGTH).contains(&text.len()) && text.bytes().all(visible) {
            Ok(Self(Arc::new(text.into())))
        } else {
            Err(OwnerError)
        }
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

crate::text::parsed_text!(Owner, OwnerError);

/// An error from [`Owner::parse`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an owner must be 1 to 128 visible ASCII characters")]
#[non_exhaustive]
pub struct OwnerError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_1_to_128_visible_ascii_characters() {
        let longest = "o".repeat(128);
        for good in [
            "a",
            "user:42",
            "anna@acme.example",
            r#"{"a","b"}"#,
            &longest,
        ] {
            assert_eq!(Owner::parse(good).unwrap().to_string(), good);
        }
        let too_long = "o".repeat(129);
        for bad in ["", "a b", "é", "a\n", "a\0", &too_long] {
            assert_eq!(Owner::parse(bad), Err(OwnerError), "{bad:?}");
        }
    }
}
