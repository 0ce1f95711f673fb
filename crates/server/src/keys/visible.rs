//! The texts of keys, which others have written, made harmless for a terminal.

use std::{
    borrow::Cow,
    io::{self, Write},
};

/// Whether a character steers the terminal, or shows nothing and changes where others stand.
/// Joiners are not among them: emoji and scripts are made with them.
fn is_steering(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// The text with such characters written out, as `\u{202e}`.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_steering) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_steering(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown.into()
}

/// Writes JSON on a line, with such characters in its strings written out, as `\u202e`: the same
/// JSON. ASCII control characters stand only between what it is made of.
pub(super) fn write_json(out: &mut impl Write, json: &str) -> io::Result<()> {
    let mut rest = json;
    let steering = |character: char| character >= '\u{7f}' && is_steering(character);
    while let Some(found) = rest.find(steering) {
        let (before, from) = rest.split_at(found);
        out.write_all(before.as_bytes())?;
        let mut characters = from.chars();
        for unit in characters
            .next()
            .into_iter()
            .flat_map(|character| character.encode_utf16(&mut [0; 2]).to_vec())
        {
            write!(out, "\\u{unit:04x}")?;
        }
        rest = characters.as_str();
    }
    writeln!(out, "{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_written_out_and_all_else_stays() {
        let steering = "a\u{202e}b\u{9b}31m\u{2028}c";
        assert_eq!(visible(steering), r"a\u{202e}b\u{9b}31m\u{2028}c");
        for harmless in ["Büro", "👩‍👩‍👧", "مفتاح", "e\u{301}", r"\u{202e}", "漢字"]
        {
            assert_eq!(visible(harmless), harmless);
        }
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({"a\u{202e}": ["\u{9b}\u{7f}\u{e0041}", "é\u{200d}\n", 1]});
        let mut written = Vec::new();
        write_json(&mut written, &serde_json::to_string_pretty(&value).unwrap()).unwrap();
        let written = String::from_utf8(written).unwrap();
        assert!(
            !written.contains(|character| character != '\n' && is_steering(character)),
            "{written}"
        );
        assert!(written.contains(r"\u9b") || written.contains(r"\u009b"));
        let read: serde_json::Value = serde_json::from_str(&written).unwrap();
        assert_eq!(read, value);
    }
}
