//! A search for leaked secrets, whole or in pieces, in several encodings.

use std::{
    collections::HashMap,
    fmt::{self, Write as _},
    ops::Range,
};

/// The length of a piece, in bytes: this many consecutive bytes of a secret are a leak. Shorter
/// matches can be coincidences.
pub const PIECE: usize = 16;

/// The length of a piece to search for in base64, in bytes. It is a multiple of 3, so that a piece
/// is 20 characters that do not depend on the bytes around it.
const PIECE_IN_BASE64: usize = 15;

/// Secrets to search for. Each of their pieces is searched for verbatim, in hexadecimal, in base64,
/// and in decimal with commas, which is how `Debug` formats bytes.
#[derive(Default)]
pub struct Canaries {
    names: Vec<String>,
    pieces: HashMap<[u8; PIECE], Vec<Piece>>,
    /// Whether any piece begins with these two bytes.
    prefixes: Vec<bool>,
}

struct Piece {
    /// The bytes after the first [`PIECE`] bytes.
    rest: Vec<u8>,
    /// The index of the secret's name.
    secret: usize,
    encoding: &'static str,
}

/// An occurrence of a part of a secret. Overlapping pieces count as one occurrence.
#[derive(Clone, Debug)]
pub struct Hit {
    /// The name of the secret.
    pub secret: String,
    /// The encoding of the secret.
    pub encoding: &'static str,
    /// The position in the text.
    pub at: Range<usize>,
}

impl Canaries {
    /// Creates a search without secrets.
    #[must_use]
    pub fn new() -> Self {
        Self {
            prefixes: vec![false; 1 << 16],
            ..Self::default()
        }
    }

    /// Adds a secret under the name to report it by.
    ///
    /// # Panics
    ///
    /// If the secret has fewer than [`PIECE`] bytes.
    pub fn add(&mut self, name: &str, secret: &[u8]) {
        assert!(secret.len() >= PIECE, "{name} is too short to search for");
        let index = self.names.len();
        self.names.push(name.to_owned());
        for piece in secret.windows(PIECE) {
            let lower = hex(piece);
            self.add_piece(index, "verbatim", piece.to_vec());
            self.add_piece(index, "HEXADECIMAL", lower.to_ascii_uppercase().into());
            self.add_piece(index, "hexadecimal", lower.into());
            self.add_piece(index, "decimal", decimal(piece).into());
        }
        for piece in secret.windows(PIECE_IN_BASE64) {
            let text = base64(piece);
            let for_urls = text.replace('+', "-").replace('/', "_");
            if for_urls != text {
                self.add_piece(index, "base64url", for_urls.into());
            }
            self.add_piece(index, "base64", text.into());
        }
    }

    /// Adds the secret of a token, both as text and as the 256 bits that it encodes.
    ///
    /// # Panics
    ///
    /// If `token` is not a token.
    pub fn add_token(&mut self, name: &str, token: &str) {
        let secret = secret_of(token);
        self.add(name, secret.as_bytes());
        self.add(&format!("the bits of {name}"), &bits(secret));
    }

    fn add_piece(&mut self, secret: usize, encoding: &'static str, mut text: Vec<u8>) {
        let rest = text.split_off(PIECE);
        let start: [u8; PIECE] = text.try_into().expect("the piece was split at this length");
        self.prefixes[prefix(start[0], start[1])] = true;
        self.pieces.entry(start).or_default().push(Piece {
            rest,
            secret,
            encoding,
        });
    }

    /// Finds all pieces of all secrets in a text.
    ///
    /// # Panics
    ///
    /// Never: all indexes are in range.
    #[must_use]
    pub fn find(&self, text: &[u8]) -> Vec<Hit> {
        let mut hits: Vec<Hit> = Vec::new();
        for (at, window) in text.windows(PIECE).enumerate() {
            if !self.prefixes[prefix(window[0], window[1])] {
                continue;
            }
            for piece in self.pieces.get(window).into_iter().flatten() {
                let end = at + PIECE;
                if !text[end..].starts_with(&piece.rest) {
                    continue;
                }
                let (secret, encoding) = (&self.names[piece.secret], piece.encoding);
                let end = end + piece.rest.len();
                let before = hits.iter_mut().rev().find(|hit| {
                    hit.at.end > at && hit.encoding == encoding && hit.secret == *secret
                });
                match before {
                    Some(hit) => hit.at.end = end,
                    None => hits.push(Hit {
                        secret: secret.clone(),
                        encoding,
                        at: at..end,
                    }),
                }
            }
        }
        hits
    }

    /// Asserts that a text contains no piece of any secret. `what` describes the text.
    ///
    /// # Panics
    ///
    /// If it contains one.
    pub fn assert_absent(&self, what: &str, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        if let Some(Hit {
            secret,
            encoding,
            at,
        }) = self.find(text).first()
        {
            let around = at.start.saturating_sub(80)..text.len().min(at.end + 40);
            let around = String::from_utf8_lossy(&text[around]);
            panic!("{what} contains {secret} ({encoding}) at {at:?}: …{around}…");
        }
    }
}

impl fmt::Debug for Canaries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canaries")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

fn prefix(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

/// Returns the secret of a token, which has 43 characters.
///
/// # Panics
///
/// If `token` is not a token.
#[must_use]
pub fn secret_of(token: &str) -> &str {
    let (_, tail) = token.rsplit_once('_').expect("a token has underscores");
    &tail[..43]
}

/// Decodes a base62 number to 32 bytes.
fn bits(characters: &str) -> Vec<u8> {
    let mut bytes = vec![0_u8; 33];
    for character in characters.bytes() {
        let digit = match character {
            b'0'..=b'9' => character - b'0',
            b'A'..=b'Z' => character - b'A' + 10,
            _ => character - b'a' + 36,
        };
        let mut carry = u32::from(digit);
        for byte in bytes.iter_mut().rev() {
            carry += u32::from(*byte) * 62;
            *byte = (carry & 0xff) as u8;
            carry >>= 8;
        }
    }
    // Drop the first byte. It contains at most two bits.
    bytes.split_off(1)
}

/// Encodes bytes in lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn decimal(bytes: &[u8]) -> String {
    let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
    numbers.join(", ")
}

/// Encodes bytes in base64 (RFC 4648), without an incomplete group at the end.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = bytes.chunks_exact(3).flat_map(|three| {
        let bits = three
            .iter()
            .fold(0, |bits, &byte| bits << 8 | usize::from(byte));
        [18, 12, 6, 0].map(|shift| char::from(DIGITS[bits >> shift & 0x3f]))
    });
    digits.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "k7Qw9ZbT2mXv4RnLs8YcH3pJd6GfA1eUiO5tWqBxMz0";

    fn canaries() -> Canaries {
        let mut canaries = Canaries::new();
        canaries.add_token(
            "the token",
            &format!("sk_live_0Vbx91mxt8iwXW8y_{SECRET}2fEAWV"),
        );
        canaries
    }

    #[test]
    fn sixteen_consecutive_characters_are_found_and_fifteen_are_not() {
        let canaries = canaries();
        for start in 0..=43 - PIECE {
            let text = format!("aaa{}bbb", &SECRET[start..start + PIECE]);
            assert_eq!(canaries.find(text.as_bytes())[0].at, 3..3 + PIECE);
            let text = format!("aaa{}", &SECRET[start..start + PIECE - 1]);
            assert!(canaries.find(text.as_bytes()).is_empty());
        }
    }

    #[test]
    fn a_secret_is_found_in_every_encoding() {
        let canaries = canaries();
        let secret = SECRET.as_bytes();
        for (encoding, text) in [
            ("verbatim", SECRET.to_owned()),
            ("hexadecimal", hex(secret)),
            ("HEXADECIMAL", hex(secret).to_uppercase()),
            ("decimal", format!("{secret:?}")),
            ("hexadecimal", hex(&bits(SECRET))),
        ] {
            let hits = canaries.find(text.as_bytes());
            assert_eq!(hits.len(), 1, "{encoding}: {hits:?}");
            assert_eq!(hits[0].encoding, encoding);
        }
        // At every offset within a group of three bytes.
        for before in ["", "a", "bc"] {
            let text = base64(format!("{before}{SECRET}cc").as_bytes());
            assert_eq!(
                canaries.find(text.as_bytes())[0].encoding,
                "base64",
                "{before}"
            );
        }
    }

    #[test]
    fn base62_is_decoded_to_its_bits() {
        assert_eq!(bits("zz"), [&[0; 30][..], &[0x0f, 0x03]].concat());
        assert_eq!(base64(b"foobar"), "Zm9vYmFy");
    }

    #[test]
    fn two_occurrences_are_two_hits() {
        let text = format!("{SECRET} {SECRET}");
        assert_eq!(canaries().find(text.as_bytes()).len(), 2);
    }
}
