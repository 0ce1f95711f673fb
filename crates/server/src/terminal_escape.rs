//! Escapes text that clients choose, such as the names of keys, for a terminal.

use std::{
    borrow::Cow,
    io::{self, Write},
};

/// Whether a character controls the terminal, or is invisible and moves other characters.
///
/// Joiners are not escaped, because emoji and scripts need them.
fn needs_escape(character: char) -> bool {
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

/// Escapes these characters, as in `\u{202e}`.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(needs_escape) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if needs_escape(character) {
            escaped.extend(character.escape_unicode());
        } else {
            escaped.push(character);
        }
    }
    escaped.into()
}

/// Writes JSON as a line with these characters escaped, as in `\u202e`. The result parses to the
/// same value.
///
/// ASCII control characters are left as they are: in valid JSON they occur only between tokens.
pub(crate) fn write_json(out: &mut impl Write, json: &str) -> io::Result<()> {
    let mut rest = json;
    let in_string = |character: char| character >= '\u{7f}' && needs_escape(character);
    while let Some(found) = rest.find(in_string) {
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
    fn only_characters_that_affect_the_terminal_are_escaped() {
        let controls = "a\u{202e}b\u{9b}31m\u{2028}c";
        assert_eq!(escape(controls), r"a\u{202e}b\u{9b}31m\u{2028}c");
        for harmless in ["Büro", "👩‍👩‍👧", "مفتاح", "e\u{301}", r"\u{202e}", "漢字"]
        {
            assert_eq!(escape(harmless), harmless);
        }
    }

    #[test]
    fn escaped_json_parses_to_the_same_value() {
        let value = serde_json::json!({"a\u{202e}": ["\u{9b}\u{7f}\u{e0041}", "é\u{200d}\n", 1]});
        let mut written = Vec::new();
        write_json(&mut written, &serde_json::to_string_pretty(&value).unwrap()).unwrap();
        let written = String::from_utf8(written).unwrap();
        assert!(
            !written.contains(|character| character != '\n' && needs_escape(character)),
            "{written}"
        );
        assert!(written.contains(r"\u9b") || written.contains(r"\u009b"));
        let read: serde_json::Value = serde_json::from_str(&written).unwrap();
        assert_eq!(read, value);
    }
}
