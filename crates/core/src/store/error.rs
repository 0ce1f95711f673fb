//! Errors of stores.

use std::{error::Error, fmt};

/// An error of a store: its kind, the name of the backend, and the driver's error as its source.
#[derive(Debug, thiserror::Error)]
#[error("{kind} (store: {backend})")]
pub struct StoreError {
    kind: StoreErrorKind,
    backend: &'static str,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl StoreError {
    /// Creates an error of a backend (`"sqlite"`, `"redis"`, …).
    #[must_use]
    pub const fn new(kind: StoreErrorKind, backend: &'static str) -> Self {
        Self {
            kind,
            backend,
            source: None,
        }
    }

    /// Sets the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns the kind of the error.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// Returns the name of the backend.
    #[must_use]
    pub const fn backend(&self) -> &'static str {
        self.backend
    }
}

/// The kinds of [`StoreError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// A record with this id already exists.
    AlreadyExists,
    /// The record is not in the state that the operation requires: it has another version, its
    /// parent is not active, or it was already rotated.
    Conflict,
    /// A stored record could not be decoded.
    Corrupt,
    /// A copy into this store has not finished, so that its keys cannot be used yet.
    Incomplete,
    /// The keys have moved to another store. This one makes no more changes.
    Moved,
    /// The write was done, but fewer replicas than required confirmed it.
    NotConfirmed,
    /// The workspace has no such key, or the key is revoked and the operation requires one that is
    /// not.
    NotFound,
    /// The store could not be reached or could not write. The operation may or may not have been
    /// done.
    Unavailable,
}

impl fmt::Display for StoreErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadyExists => "a key with this id already exists",
            Self::Conflict => "the key was changed, or is not in the required state",
            Self::Corrupt => "a stored record could not be decoded",
            Self::Incomplete => "a copy into this store has not finished",
            Self::Moved => "the keys have moved to another store",
            Self::NotConfirmed => "too few replicas confirmed the write",
            Self::NotFound => "there is no such key",
            Self::Unavailable => "the store is unavailable",
        })
    }
}
