//! The prefix of a host's tokens.

use std::fmt;

/// The prefix of a host's tokens: `[a-z][a-z0-9]{1,11}`. It shows people and secret scanners which
/// host a token belongs to. It must not change once the first key is issued.
///
/// ```
/// use keywright_core::Prefix;
///
/// assert_eq!(Prefix::parse("acme")?.as_str(), "acme");
/// assert!(Prefix::parse("Acme").is_err());
/// # Ok::<(), keywright_core::error::PrefixError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Prefix(Box<str>);

impl Prefix {
    /// The maximum length, in bytes.
    pub const MAX_LENGTH: usize = 12;

    /// Parses a prefix.
    ///
    /// # Errors
    ///
    /// [`PrefixError`] if the text is not 2 to 12 characters of `a-z0-9`, beginning with a letter.
    pub fn parse(text: &str) -> Result<Self, PrefixError> {
        let well_formed = (2..=Self::MAX_LENGTH).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if well_formed {
            Ok(Self(text.into()))
        } else {
            Err(PrefixError)
        }
    }

    /// Returns the prefix as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

crate::text::parsed_text!(Prefix, PrefixError);

/// An error from [`Prefix::parse`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a prefix must be 2 to 12 characters of a-z and 0-9 and begin with a letter")]
#[non_exhaustive]
pub struct PrefixError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_two_to_twelve_lower_case_letters_and_digits() {
        for good in ["sk", "s0", "acme", "a23456789012"] {
            assert!(Prefix::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "s",
            "0k",
            "Sk",
            "s_k",
            "s-k",
            "sk ",
            "a234567890123",
            "ské",
        ] {
            assert!(Prefix::parse(bad).is_err(), "{bad}");
        }
    }
}
