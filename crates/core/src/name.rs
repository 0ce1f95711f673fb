//! The name of a key.

use std::fmt;

/// The name that people give a key: 1 to 255 characters, without control characters and without
/// white space at either end. The rest is kept byte for byte.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(Box<str>);

impl Name {
    /// The maximum length, in characters (Unicode scalar values).
    pub const MAX_LENGTH: usize = 255;

    /// Parses a name, after removing white space at both ends.
    ///
    /// # Errors
    ///
    /// [`NameError`] if the rest is empty, too long, or contains a control character.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let name = text.trim();
        if name.is_empty() {
            Err(NameError::Empty)
        } else if name.chars().nth(Self::MAX_LENGTH).is_some() {
            Err(NameError::TooLong)
        } else if name.contains(char::is_control) {
            Err(NameError::ControlCharacter)
        } else {
            Ok(Self(name.into()))
        }
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Folds the case of a text, so that a search can ignore it. Works for all of Unicode: `Straße` and
/// `STRASSE` fold to the same text, and so do `Ä` and `ä`.
#[must_use]
pub fn fold_case(text: &str) -> String {
    text.chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect()
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

crate::text::parsed_text!(Name, NameError);

/// An error from [`Name::parse`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The text is empty, or only white space.
    #[error("name should not be empty")]
    Empty,
    /// The text is longer than [`Name::MAX_LENGTH`] characters.
    #[error("name must be 255 characters or shorter")]
    TooLong,
    /// The text contains a control character (Unicode category Cc).
    #[error("name must not contain control characters")]
    ControlCharacter,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_counts_characters_after_trimming() {
        assert_eq!(
            Name::parse(&format!("  {}\n", "é".repeat(255)))
                .unwrap()
                .as_str()
                .len(),
            510
        );
        assert_eq!(Name::parse(&"é".repeat(256)), Err(NameError::TooLong));
        assert_eq!(Name::parse(" \u{3000}\t"), Err(NameError::Empty));
        assert_eq!(Name::parse("a\u{0}b"), Err(NameError::ControlCharacter));
        assert_eq!(Name::parse("a\u{85}b"), Err(NameError::ControlCharacter));
    }

    #[test]
    fn emoji_and_right_to_left_text_are_kept() {
        let text = "👩‍👩‍👧 مفتاح e\u{301}";
        assert_eq!(Name::parse(text).unwrap().as_str(), text);
        assert_eq!(Name::parse(text).unwrap().to_string(), text);
    }

    #[test]
    fn case_is_folded_for_all_of_unicode() {
        assert_eq!(fold_case("ÄÖÜ Straße"), fold_case("äöü STRASSE"));
        assert_eq!(fold_case("ΟΔΟΣ"), fold_case("οδος"));
    }
}
