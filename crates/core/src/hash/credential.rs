//! What a record holds to prove a secret.

use std::fmt;

use subtle::ConstantTimeEq;

use super::StoredHash;

/// The hash of a secret and its tag, which are always made and replaced together.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Credential {
    /// The hash.
    pub hash: StoredHash,
    /// The tag.
    pub tag: Tag,
}

impl Credential {
    /// Puts together what a store has kept.
    #[must_use]
    pub const fn new(hash: StoredHash, tag: Tag) -> Self {
        Self { hash, tag }
    }
}

/// The first 64 bits of an HMAC over id and secret, keyed by the pepper where there is one. It is
/// compared before the hash, so that a wrong secret costs nanoseconds and never reaches Argon2. Of
/// the secret's 256 bits it leaves 192 unknown, so it is of no use to a thief of the database.
/// `==` compares records, not secrets: it takes a time that depends on the tags.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tag([u8; Tag::LENGTH]);

impl Tag {
    /// Length in bytes.
    pub const LENGTH: usize = 8;

    /// From the bytes that a store has kept.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// Whether both are of one secret, in constant time.
    pub(super) fn matches(&self, other: &Self) -> bool {
        u64::from_ne_bytes(self.0)
            .ct_eq(&u64::from_ne_bytes(other.0))
            .into()
    }

    /// The bytes that a store keeps.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tag(..)")
    }
}
