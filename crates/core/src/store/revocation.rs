//! The reach of a revocation, and its effect.

/// The keys that a revocation affects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a store must handle each; a third is a new contract"
)]
pub enum Reach {
    /// The key alone. Its descendants stay as they are.
    Key,
    /// The key and all its descendants at any depth: its successor, the keys that it created, the
    /// keys that it received by rotating another, and their descendants.
    Descendants,
}

/// The effect of a revocation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Revocation {
    /// Whether this call revoked the named key. `false` if the key was already revoked.
    pub first: bool,
    /// The number of keys that this call revoked, including descendants.
    pub count: u64,
}

impl Revocation {
    /// Creates the result of [`KeyStore::revoke`](crate::store::KeyStore::revoke).
    #[must_use]
    pub const fn new(first: bool, count: u64) -> Self {
        Self { first, count }
    }
}
