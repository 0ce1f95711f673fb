//! Finding secrets, whole or in pieces, in whatever form they have leaked.

use std::{
    collections::HashMap,
    fmt::{self, Write as _},
    ops::Range,
};

/// How many bytes of a secret in a row are a leak. What is shorter is found by chance, too.
pub const PIECE: usize = 16;

/// How many bytes of a secret are looked for in base64, which makes 20 characters of them wherever
/// they stand: a multiple of 3.
const PIECE_IN_BASE64: usize = 15;

/// Secrets that must not be found where they do not belong. Each of their pieces is looked for as it
/// is, in hexadecimal, in base64, and in decimal with commas, as `Debug` prints bytes.
#[derive(Default)]
pub struct Canaries {
    names: Vec<String>,
    pieces: HashMap<[u8; PIECE], Vec<Piece>>,
    /// Whether a piece begins with these two bytes.
    begins: Vec<bool>,
}

struct Piece {
    /// What follows the first 16 bytes.
    rest: Vec<u8>,
    of: usize,
    form: &'static str,
}

/// A place where some of a secret was found: as many pieces as overlap there.
#[derive(Clone, Debug)]
pub struct Hit {
    /// The name of the secret.
    pub secret: String,
    /// How it was written.
    pub form: &'static str,
    /// Where.
    pub at: Range<usize>,
}

impl Canaries {
    /// No secrets yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            begins: vec![false; 1 << 16],
            ..Self::default()
        }
    }

    /// Adds a secret, by the name that it is reported under.
    ///
    /// # Panics
    ///
    /// If it has fewer than [`PIECE`] bytes.
    pub fn add(&mut self, name: &str, secret: &[u8]) {
        assert!(
            secret.len() >= PIECE,
            "{name} is too short to be looked for"
        );
        let of = self.names.len();
        self.names.push(name.to_owned());
        for piece in secret.windows(PIECE) {
            let lower = hex(piece);
            self.add_piece(of, "as it is", piece.to_vec());
            self.add_piece(of, "HEXADECIMAL", lower.to_ascii_uppercase().into());
            self.add_piece(of, "hexadecimal", lower.into());
            self.add_piece(of, "decimal", decimal(piece).into());
        }
        for piece in secret.windows(PIECE_IN_BASE64) {
            let text = base64(piece);
            let for_urls = text.replace('+', "-").replace('/', "_");
            if for_urls != text {
                self.add_piece(of, "base64url", for_urls.into());
            }
            self.add_piece(of, "base64", text.into());
        }
    }

    /// Adds a whole token: its secret, and the 256 bits that the secret stands for.
    ///
    /// # Panics
    ///
    /// If it is no token.
    pub fn add_token(&mut self, name: &str, token: &str) {
        let secret = secret_of(token);
        self.add(name, secret.as_bytes());
        self.add(&format!("the bits of {name}"), &bits(secret));
    }

    fn add_piece(&mut self, of: usize, form: &'static str, mut text: Vec<u8>) {
        let rest = text.split_off(PIECE);
        let start: [u8; PIECE] = text.try_into().expect("a piece is no shorter");
        self.begins[begin(start[0], start[1])] = true;
        self.pieces
            .entry(start)
            .or_default()
            .push(Piece { rest, of, form });
    }

    /// Where any piece of any secret is.
    ///
    /// # Panics
    ///
    /// Never: what is indexed exists.
    #[must_use]
    pub fn find(&self, text: &[u8]) -> Vec<Hit> {
        let mut hits: Vec<Hit> = Vec::new();
        for (at, window) in text.windows(PIECE).enumerate() {
            if !self.begins[begin(window[0], window[1])] {
                continue;
            }
            for piece in self.pieces.get(window).into_iter().flatten() {
                let end = at + PIECE;
                if !text[end..].starts_with(&piece.rest) {
                    continue;
                }
                let (secret, form) = (&self.names[piece.of], piece.form);
                let end = end + piece.rest.len();
                let before = hits
                    .iter_mut()
                    .rev()
                    .find(|hit| hit.at.end > at && hit.form == form && hit.secret == *secret);
                match before {
                    Some(hit) => hit.at.end = end,
                    None => hits.push(Hit {
                        secret: secret.clone(),
                        form,
                        at: at..end,
                    }),
                }
            }
        }
        hits
    }

    /// Asserts that no piece of any secret is in a text.
    ///
    /// # Panics
    ///
    /// If one is.
    pub fn assert_absent(&self, what: &str, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        if let Some(Hit { secret, form, at }) = self.find(text).first() {
            let around = at.start.saturating_sub(80)..text.len().min(at.end + 40);
            let around = String::from_utf8_lossy(&text[around]);
            panic!("{secret}, {form}, is in {what}, at {at:?}: …{around}…");
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

fn begin(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

/// The 43 characters of a token's secret.
///
/// # Panics
///
/// If it is no token.
#[must_use]
pub fn secret_of(token: &str) -> &str {
    let (_, tail) = token.rsplit_once('_').expect("a token has underscores");
    &tail[..43]
}

/// The number that base62 characters stand for, in as many bytes as it takes.
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
    // All but the first, which holds a bit or two.
    bytes.split_off(1)
}

/// Bytes in hexadecimal, in lower case.
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

/// Base64 (RFC 4648) of as many bytes as fill its characters.
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
        canaries.add_token("it", &format!("sk_live_0Vbx91mxt8iwXW8y_{SECRET}2fEAWV"));
        canaries
    }

    #[test]
    fn sixteen_characters_in_a_row_are_found_and_fifteen_are_not() {
        let canaries = canaries();
        for start in 0..=43 - PIECE {
            let text = format!("aaa{}bbb", &SECRET[start..start + PIECE]);
            assert_eq!(canaries.find(text.as_bytes())[0].at, 3..3 + PIECE);
            let text = format!("aaa{}", &SECRET[start..start + PIECE - 1]);
            assert!(canaries.find(text.as_bytes()).is_empty());
        }
    }

    #[test]
    fn it_is_found_in_every_form() {
        let canaries = canaries();
        let secret = SECRET.as_bytes();
        for (form, text) in [
            ("as it is", SECRET.to_owned()),
            ("hexadecimal", hex(secret)),
            ("HEXADECIMAL", hex(secret).to_uppercase()),
            ("decimal", format!("{secret:?}")),
            ("hexadecimal", hex(&bits(SECRET))),
        ] {
            let hits = canaries.find(text.as_bytes());
            assert_eq!(hits.len(), 1, "{form}: {hits:?}");
            assert_eq!(hits[0].form, form);
        }
        // Wherever it stands among other bytes.
        for before in ["", "a", "bc"] {
            let text = base64(format!("{before}{SECRET}cc").as_bytes());
            assert_eq!(canaries.find(text.as_bytes())[0].form, "base64", "{before}");
        }
    }

    #[test]
    fn the_bits_are_the_number() {
        assert_eq!(bits("zz"), [&[0; 30][..], &[0x0f, 0x03]].concat());
        assert_eq!(base64(b"foobar"), "Zm9vYmFy");
    }

    #[test]
    fn a_secret_that_stands_there_twice_is_found_twice() {
        let text = format!("{SECRET} {SECRET}");
        assert_eq!(canaries().find(text.as_bytes()).len(), 2);
    }
}
