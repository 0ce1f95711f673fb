//! Removes tokens from text that may be logged.

/// The minimum length of a run of letters, digits and underscores that may be a token, in bytes.
const MIN_TOKEN_LENGTH: usize = 40;

/// Returns `text` with `…` in place of each word that may be a token.
///
/// A user may pass a token as an argument by mistake, and error messages end up in logs.
pub(crate) fn tokens(text: &str) -> String {
    let is_token_character =
        |character: char| character.is_ascii_alphanumeric() || character == '_';
    let may_be_token = |word: &str| {
        word.len() >= MIN_TOKEN_LENGTH || word.contains("_live_") || word.contains("_test_")
    };
    text.split_inclusive(|character| !is_token_character(character))
        .map(|piece| {
            let word = piece.trim_end_matches(|character| !is_token_character(character));
            if may_be_token(word) {
                format!("…{}", piece.strip_prefix(word).unwrap_or_default())
            } else {
                piece.to_owned()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_may_be_tokens_are_replaced() {
        let token = format!("acme_live_{}", "x".repeat(65));
        assert_eq!(tokens(&format!("'{token}' is odd")), "'…' is odd");
        assert_eq!(tokens("--id=sk_test_1; x"), "--id=…; x");
        assert_eq!(tokens(&"x".repeat(40)), "…");
    }

    #[test]
    fn other_text_is_left_as_it_is() {
        let harmless = "error: 'key_0U5lKtf600000000' is not an id";
        assert_eq!(tokens(harmless), harmless);
    }
}
