//! What can go wrong in a store.

use std::{error::Error, fmt};

/// What went wrong in a store, in which backend, and with which error of its driver.
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    backend: &'static str,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl StoreError {
    /// An error of a backend (`"sqlite"`, `"redis"`, …).
    #[must_use]
    pub const fn new(kind: StoreErrorKind, backend: &'static str) -> Self {
        Self {
            kind,
            backend,
            source: None,
        }
    }

    /// The same with what caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// The name of the backend.
    #[must_use]
    pub const fn backend(&self) -> &'static str {
        self.backend
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (store: {})", self.kind, self.backend)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn Error + 'static))
    }
}

/// The kinds of [`StoreError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The id is taken.
    AlreadyExists,
    /// The record is not in the state that the operation needs: another version, a parent that is
    /// not active, a key that was rotated before.
    Conflict,
    /// What is stored cannot be read back.
    Corrupt,
    /// Done, but not confirmed by as many replicas as were asked for.
    NotConfirmed,
    /// There is no such key in the workspace, or it is revoked and the operation needs one that is
    /// not.
    NotFound,
    /// The store cannot be reached or cannot write. Whether the operation was done is not known.
    Unavailable,
}

impl fmt::Display for StoreErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadyExists => "the id is taken",
            Self::Conflict => "the record is in another state",
            Self::Corrupt => "a record cannot be read back",
            Self::NotConfirmed => "too few replicas have confirmed",
            Self::NotFound => "there is no such key",
            Self::Unavailable => "the store is unavailable",
        })
    }
}
