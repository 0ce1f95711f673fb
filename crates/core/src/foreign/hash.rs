//! The hash of a token that another system issued, and its text in a store.

use std::{fmt, hash::Hasher};

use base64ct::{Base64, Encoding as _};
use sha2::{Digest as _, Sha256, Sha512};
use subtle::ConstantTimeEq;

use super::{format::Digest, password};
use crate::hash::{Blocks, HashError};

/// The hash of a token that another system issued:
///
/// ```text
/// foreign:sha256$BASE64
/// foreign:sha512$BASE64
/// foreign:pbkdf2_sha256$ITERATIONS$SALT$BASE64
/// foreign:$2b$COST$SALT-AND-HASH
/// foreign:$argon2id$v=19$m=65536,t=3,p=4$SALT$HASH
/// ```
///
/// Each hash has exactly one text.
#[derive(Clone, PartialEq, Eq)]
pub struct ForeignHash(Proof);

#[derive(Clone, PartialEq, Eq)]
enum Proof {
    Sha256([u8; 32]),
    Sha512([u8; 64]),
    /// The text of a hash whose form and cost were checked.
    Password(Box<str>),
}

impl ForeignHash {
    /// The prefix of the text of each foreign hash, and of no other hash.
    pub(crate) const MARK: &'static str = "foreign:";

    /// Parses a digest in hexadecimal, base64 or base64url. Returns its bytes as well.
    pub(super) fn from_digest(
        digest: Digest,
        text: &str,
    ) -> Result<(Self, Vec<u8>), ForeignHashError> {
        match digest {
            Digest::Sha256 => {
                decode_any(text).map(|bytes: [u8; 32]| (Self(Proof::Sha256(bytes)), bytes.to_vec()))
            }
            Digest::Sha512 => {
                decode_any(text).map(|bytes: [u8; 64]| (Self(Proof::Sha512(bytes)), bytes.to_vec()))
            }
        }
        .ok_or(ForeignHashError::Malformed)
    }

    /// Parses a password hash, or Django's `sha512$$HEX`.
    pub(super) fn from_password(text: &str) -> Result<Self, ForeignHashError> {
        if let Some(digest) = text.strip_prefix("sha512$$") {
            return Self::from_digest(Digest::Sha512, digest).map(|(hash, _)| hash);
        }
        password::check(text)?;
        Ok(Self(Proof::Password(text.into())))
    }

    /// Parses the text of a hash. Returns `None` for any text that [`Display`](fmt::Display) does
    /// not write.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let hash = text.strip_prefix(Self::MARK)?;
        let proof = if let Some(digest) = hash.strip_prefix("sha256$") {
            Proof::Sha256(decode(digest)?)
        } else if let Some(digest) = hash.strip_prefix("sha512$") {
            Proof::Sha512(decode(digest)?)
        } else {
            match password::check(hash) {
                // A record is readable without the feature, though its hash cannot be verified.
                Ok(()) | Err(ForeignHashError::Unsupported) => Proof::Password(hash.into()),
                Err(_) => return None,
            }
        };
        Some(Self(proof))
    }

    /// Writes all of the hash to a hasher.
    pub(crate) fn feed(&self, hasher: &mut impl Hasher) {
        // No text contains the byte.
        hasher.write(self.to_string().as_bytes());
        hasher.write_u8(0xff);
    }

    /// Whether the hashed part of a token has this hash, or `None` for a password hash, which takes
    /// too long to compute here.
    pub(crate) fn verify_at_once(&self, part: &[u8]) -> Option<bool> {
        match &self.0 {
            Proof::Sha256(digest) => Some(Sha256::digest(part).ct_eq(&digest[..]).into()),
            Proof::Sha512(digest) => Some(Sha512::digest(part).ct_eq(&digest[..]).into()),
            Proof::Password(_) => None,
        }
    }

    /// Whether the hashed part of a token has this hash.
    pub(crate) fn verify(&self, part: &[u8], blocks: &mut Blocks) -> Result<bool, HashError> {
        match &self.0 {
            Proof::Password(hash) => password::verify(hash, part, blocks),
            Proof::Sha256(_) | Proof::Sha512(_) => {
                Ok(self.verify_at_once(part).unwrap_or_default())
            }
        }
    }
}

impl fmt::Display for ForeignHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::MARK)?;
        match &self.0 {
            Proof::Sha256(digest) => write!(f, "sha256${}", Base64::encode_string(digest)),
            Proof::Sha512(digest) => write!(f, "sha512${}", Base64::encode_string(digest)),
            Proof::Password(hash) => f.write_str(hash),
        }
    }
}

impl fmt::Debug for ForeignHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForeignHash(..)")
    }
}

/// Decodes base64.
pub(super) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let length = Base64::decode(text, &mut bytes).ok()?.len();
    (length == N).then_some(bytes)
}

/// Decodes hexadecimal, base64 or base64url, with or without padding. The length of the text shows
/// whether it is hexadecimal.
fn decode_any<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() == 2 * N {
        return decode_hex(text);
    }
    let standard = text.replace('-', "+").replace('_', "/");
    let padding = "=".repeat((4 - standard.trim_end_matches('=').len() % 4) % 4);
    decode(&format!("{}{padding}", standard.trim_end_matches('=')))
}

fn decode_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(text.as_bytes().as_chunks::<2>().0) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

/// An error in the hash or the public part of a key to import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForeignHashError {
    /// The text is not a hash of this format.
    #[error("not a hash of this format")]
    Malformed,
    /// The format finds keys by their public part, which is missing.
    #[error("missing")]
    MissingPublicPart,
    /// The format finds keys by their hash, and has no public part.
    #[error("not used by this format")]
    UnusedPublicPart,
    /// No token of this format can have this public part.
    #[error("no token of this format begins with it")]
    InvalidPublicPart,
    /// The hash needs the crate feature `foreign-passwords`.
    #[error("hashes of this kind need the crate feature `foreign-passwords`")]
    Unsupported,
    /// The hash costs too much to compute.
    #[error("the cost of the hash is above the maximum")]
    Cost,
}

impl ForeignHashError {
    /// Returns the name of the field with the error.
    pub(crate) const fn field(&self) -> &'static str {
        match self {
            Self::MissingPublicPart | Self::UnusedPublicPart | Self::InvalidPublicPart => {
                "public_part"
            }
            Self::Malformed | Self::Unsupported | Self::Cost => "hash",
        }
    }
}
