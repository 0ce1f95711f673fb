//! Why the issuer did not do what it was asked for.

use std::{error::Error, fmt};

use crate::{HashError, Permission, RandomError, StoreError};

/// Why the issuer did not do what it was asked for. Nothing has changed then, unless the store
/// could not tell.
#[derive(Debug)]
#[non_exhaustive]
pub enum IssueError {
    /// The caller lacks this permission, and so cannot do this, or give it to a key.
    NotPermitted(Permission),
    /// A `test` caller asked for a `live` key.
    Environment,
    /// The expiry that was asked for is not in the future.
    ExpiryPast,
    /// The expiry that was asked for is later than the caller's own.
    ExpiryBeyondCaller,
    /// The caller has expired or was revoked.
    CallerInactive,
    /// There is no such key in the caller's workspace that the caller's environment sees, or it is
    /// revoked and the operation needs one that is not.
    NotFound,
    /// The key has expired or has a successor, and so cannot be rotated.
    NotRotatable,
    /// The cursor is none, or belongs to another list.
    Cursor,
    /// The idempotency key was used for another request.
    IdempotencyMismatch,
    /// No random bytes.
    Random(RandomError),
    /// The secret could not be hashed.
    Hash(HashError),
    /// The store failed.
    Store(StoreError),
}

impl fmt::Display for IssueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPermitted(permission) => {
                write!(f, "the caller lacks the permission {permission}")
            }
            Self::Environment => f.write_str("a test caller cannot create a live key"),
            Self::ExpiryPast => f.write_str("expires_at must be in the future"),
            Self::ExpiryBeyondCaller => {
                f.write_str("expires_at must not be later than the caller's own expiry")
            }
            Self::CallerInactive => f.write_str("the caller has expired or was revoked"),
            Self::NotFound => f.write_str("there is no such key"),
            Self::NotRotatable => f.write_str("the key has expired or was rotated before"),
            Self::Cursor => f.write_str("cursor is none of this list"),
            Self::IdempotencyMismatch => {
                f.write_str("the idempotency key was used for another request")
            }
            Self::Random(_) => f.write_str("no random bytes could be had"),
            Self::Hash(_) => f.write_str("the secret could not be hashed"),
            Self::Store(_) => f.write_str("the store failed"),
        }
    }
}

impl Error for IssueError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Random(source) => Some(source),
            Self::Hash(source) => Some(source),
            Self::Store(source) => Some(source),
            _ => None,
        }
    }
}

impl From<RandomError> for IssueError {
    fn from(source: RandomError) -> Self {
        Self::Random(source)
    }
}

impl From<HashError> for IssueError {
    fn from(source: HashError) -> Self {
        Self::Hash(source)
    }
}

impl From<StoreError> for IssueError {
    fn from(source: StoreError) -> Self {
        Self::Store(source)
    }
}
