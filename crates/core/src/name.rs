//! The name of a key.

use std::fmt;

use smol_str::SmolStr;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// The name that people give a key: 1 to 255 characters, at least one of them visible, without
/// control characters and without white space at either end. The rest is kept byte for byte.
///
/// Letters, digits, punctuation, symbols and emoji are visible, except those that are displayed as
/// blank. Spaces, format characters and combining marks alone are not.
#[derive(Clone, PartialEq, Eq, Hash)]
// Most names have at most 23 bytes, for which a `SmolStr` allocates no memory.
pub struct Name(SmolStr);

impl Name {
    /// The maximum length, in characters (Unicode scalar values).
    pub const MAX_LENGTH: usize = 255;

    /// Parses a name, after removing white space at both ends.
    ///
    /// # Errors
    ///
    /// [`NameError`] if the rest is empty, too long, contains a control character, or contains no
    /// visible character.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let name = text.trim();
        if name.is_empty() {
            Err(NameError::Empty)
        } else if name.chars().nth(Self::MAX_LENGTH).is_some() {
            Err(NameError::TooLong)
        } else if name.contains(char::is_control) {
            Err(NameError::ControlCharacter)
        } else if !name.contains(is_visible) {
            Err(NameError::Invisible)
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

/// Folds the case of a text and normalises it to NFC, so that a search can ignore both. Works for
/// all of Unicode: `Straße` and `STRASSE` fold to the same text, and so do `Ä` and `ä`, whether
/// they are one character or a letter and a combining mark, as macOS writes them.
///
/// The result depends on the version of Unicode that this crate is built with. A store that keeps
/// folded names, in a column or an index, must build them again when this function changes.
#[must_use]
pub fn fold_case(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    // Equal texts must be equal before their case is mapped, so this decomposes them first (The
    // Unicode Standard, section 3.13, D145).
    text.nfd()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .nfc()
        .collect()
}

/// Whether a character is displayed as more than a blank.
fn is_visible(character: char) -> bool {
    // These are letters and symbols by their category.
    const BLANKS: [char; 8] = [
        '\u{115f}',  // HANGUL CHOSEONG FILLER
        '\u{1160}',  // HANGUL JUNGSEONG FILLER
        '\u{2800}',  // BRAILLE PATTERN BLANK
        '\u{3164}',  // HANGUL FILLER
        '\u{ffa0}',  // HALFWIDTH HANGUL FILLER
        '\u{13441}', // EGYPTIAN HIEROGLYPH FULL BLANK
        '\u{13442}', // EGYPTIAN HIEROGLYPH HALF BLANK
        '\u{1d159}', // MUSICAL SYMBOL NULL NOTEHEAD
    ];
    let is_drawn = matches!(
        character.general_category_group(),
        GeneralCategoryGroup::Letter
            | GeneralCategoryGroup::Number
            | GeneralCategoryGroup::Punctuation
            | GeneralCategoryGroup::Symbol
    );
    is_drawn && !BLANKS.contains(&character)
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
    /// The text contains no visible character.
    #[error("name must contain a visible character")]
    Invisible,
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
    fn a_name_without_a_visible_character_is_rejected_and_any_visible_one_is_enough() {
        let invisible = [
            "\u{200b}",
            "\u{2800}",
            "\u{3164}",
            "\u{115f}\u{1160}\u{ffa0}",
            "\u{1d159}\u{13441}\u{13442}",
            "\u{200d}\u{2060}\u{feff}\u{ad}\u{61c}\u{180e}\u{202e}",
            "\u{fe0f}\u{34f}",
            "\u{301}",
            "\u{e0041}\u{e007f}",
            "\u{2800}\u{a0}\u{2800}",
            "\u{e000}",
            "\u{378}",
        ];
        for text in invisible {
            let error = Name::parse(text);
            assert_eq!(
                error,
                Err(NameError::Invisible),
                "{}",
                text.escape_unicode()
            );
            for visible in [
                "a",
                "7",
                "é",
                "e\u{301}",
                "…",
                "-",
                "€",
                "🔑",
                "1\u{20e3}",
                "中",
                "ﬀ",
                "٣",
            ] {
                let named = format!("{text}{visible}{text}");
                assert_eq!(Name::parse(&named).unwrap().as_str(), named);
            }
        }
        assert_eq!(Name::parse("\u{a0}\u{3000}"), Err(NameError::Empty));
    }

    #[test]
    fn the_same_text_in_another_normalisation_form_folds_to_the_same() {
        for [composed, decomposed] in [
            ["CAFÉ", "cafe\u{301}"],
            ["Ǖ", "u\u{308}\u{304}"],
            ["각", "\u{1100}\u{1161}\u{11a8}"],
            ["Ω", "\u{2126}"],
            ["ᾳ", "α\u{345}"],
            ["q\u{307}\u{323}", "Q\u{323}\u{307}"],
        ] {
            assert_eq!(fold_case(composed), fold_case(decomposed), "{composed}");
        }
        assert_ne!(fold_case("café"), fold_case("cafe"));
        assert_eq!(fold_case("A-z_9 |"), "a-z_9 |");
    }

    #[test]
    fn case_is_folded_for_all_of_unicode() {
        assert_eq!(fold_case("ÄÖÜ Straße"), fold_case("äöü STRASSE"));
        assert_eq!(fold_case("ΟΔΟΣ"), fold_case("οδος"));
    }
}
