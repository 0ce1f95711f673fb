//! Fuzzes the token. Each accepted token has a single spelling, and no token with a changed byte is
//! accepted.

#![no_main]

use keywright_core::{Environment, KeyId, Prefix, Secret, Token, TokenRef};
use libfuzzer_sys::fuzz_target;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fuzz_target!(|bytes: &[u8]| {
    for prefix in ["sk", "acme"] {
        let prefix = Prefix::parse(prefix).expect("the prefix is valid");
        has_one_spelling(bytes, &prefix);
        is_rejected_when_changed(bytes, &prefix);
    }
});

fn has_one_spelling(bytes: &[u8], prefix: &Prefix) {
    if let Ok(token) = TokenRef::parse(bytes, prefix) {
        let again = Token::assemble(prefix, token.environment(), token.id(), &token.secret());
        assert_eq!(again.expose().as_bytes(), bytes);
    }
}

/// Assembles a token from the first bytes of the input, and changes one byte of it.
fn is_rejected_when_changed(bytes: &[u8], prefix: &Prefix) {
    let Some((&[place, byte, environment], rest)) = bytes.split_first_chunk() else {
        return;
    };
    let Some((id, rest)) = rest.split_first_chunk::<{ KeyId::LENGTH }>() else {
        return;
    };
    let Some(secret) = rest.first_chunk::<{ Secret::LENGTH }>() else {
        return;
    };
    let environment = if environment % 2 == 0 {
        Environment::Live
    } else {
        Environment::Test
    };
    let mut text = assemble(prefix, environment, id, secret);

    let Ok(token) = TokenRef::parse(&text, prefix) else {
        panic!("the token is rejected");
    };
    assert_eq!(token.environment(), environment);
    has_one_spelling(&text, prefix);

    let place = usize::from(place) % text.len();
    if text[place] != byte {
        text[place] = byte;
        assert!(TokenRef::parse(&text, prefix).is_err());
    }
}

/// Assembles a token according to the definition of the format, independently of the code under
/// test.
fn assemble(prefix: &Prefix, environment: Environment, id: &[u8], secret: &[u8]) -> Vec<u8> {
    let mut text = format!("{prefix}_{environment}_").into_bytes();
    text.extend(id.iter().map(|&byte| base62(byte.into())));
    text.push(b'_');
    text.extend(secret.iter().map(|&byte| base62(byte.into())));
    let checksum = crc32fast::hash(&text);
    text.extend(
        (0..6)
            .rev()
            .map(|power| base62(checksum / 62_u32.pow(power))),
    );
    text
}

fn base62(number: u32) -> u8 {
    BASE62[number as usize % 62]
}
