//! The second name of a record.

use std::fmt;

/// A second, unique name of a record, by which the verifier finds a key that another system issued.
///
/// It is a SHA-256 digest of a digest of the token, or of its public part: see
/// [`ForeignFormat`](crate::foreign::ForeignFormat). `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Alias([u8; Alias::LENGTH]);

impl Alias {
    /// The length, in bytes.
    pub const LENGTH: usize = 32;

    /// Creates an alias from the bytes that a store has kept.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes for a store to keep.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl fmt::Debug for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Alias(..)")
    }
}
