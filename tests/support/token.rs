//! Tokens with the prefix `sk`, and their parts.

use std::path::Path;

use keywright_core::{Environment, KeyId, Prefix, Secret, Token, TokenRef};

/// Returns the parts of a token.
pub(crate) fn parse(token: &str) -> TokenRef<'_> {
    let prefix = Prefix::parse("sk").unwrap();
    TokenRef::parse(token.as_bytes(), &prefix)
        .map_err(|error| error.to_string())
        .unwrap()
}

/// Returns the id of a token's key.
pub(crate) fn id_of(token: &str) -> String {
    parse(token).id().to_string()
}

/// Returns the 43 characters of a token's secret.
pub(crate) fn secret_of(token: &str) -> &str {
    let tail = token.rsplit_once('_').unwrap().1;
    &tail[..43]
}

/// Assembles a token from parts that do not belong together, with the right checksum.
pub(crate) fn forge(environment: Environment, id: &KeyId, secret: &Secret) -> String {
    let prefix = Prefix::parse("sk").unwrap();
    Token::assemble(&prefix, environment, id, secret)
        .expose()
        .to_owned()
}

/// Returns a token whose checksum is wrong in its last character.
pub(crate) fn with_last_character_changed(token: &str) -> String {
    let (rest, last) = token.split_at(token.len() - 1);
    let other = if last == "0" { "1" } else { "0" };
    format!("{rest}{other}")
}

/// Asserts that no file of a folder contains any 16 consecutive bytes of a token's secret.
pub(crate) fn assert_nowhere_in(folder: &Path, token: &str) {
    let secret = secret_of(token);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let contents = std::fs::read(&path).unwrap();
        for piece in secret.as_bytes().windows(16) {
            let found = contents.windows(16).any(|window| window == piece);
            assert!(!found, "a piece of the secret is in {}", path.display());
        }
    }
}
