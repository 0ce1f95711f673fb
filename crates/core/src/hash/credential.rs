//! The part of a record that verifies a secret.

use std::fmt;

use subtle::ConstantTimeEq;

use super::stored::StoredHash;

/// The hash and the tag of a secret. They are always created and replaced together.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Credential {
    /// The hash.
    pub hash: StoredHash,
    /// The tag.
    pub tag: Tag,
}

impl Credential {
    /// Creates a credential from a hash and a tag that a store has kept.
    #[must_use]
    pub const fn new(hash: StoredHash, tag: Tag) -> Self {
        Self { hash, tag }
    }
}

/// The first 128 bits of an HMAC of a key's secret, keyed with the pepper if there is one.
///
/// The tag is compared before the hash, so that a wrong secret costs nanoseconds and never reaches
/// Argon2. Like the hash, it is bound to the key's id, workspace and environment. It leaves 128 of
/// the secret's 256 bits unknown, so it does not help an attacker who has stolen the database.
///
/// `==` is for comparing records. It does not take constant time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tag([u8; Tag::LENGTH]);

impl Tag {
    /// The length in bytes.
    pub const LENGTH: usize = 16;

    /// The value that a store keeps with a foreign hash, which has no tag.
    pub(crate) const NONE: Self = Self([0; Self::LENGTH]);

    /// Creates a tag from the bytes that a store has kept.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// Whether both tags are of the same secret, in constant time.
    pub(super) fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    /// Returns the bytes for a store to keep.
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
