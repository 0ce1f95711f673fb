//! Errors of the issuer.

use crate::{
    Permission, Prefix, Timestamp, hash::HashError, random::RandomError, store::StoreError,
};

/// An error from an operation of the [`Issuer`](crate::Issuer). Nothing was changed, with one
/// exception: after a [`Store`](Self::Store) error of the kind
/// [`Unavailable`](crate::store::StoreErrorKind::Unavailable), the change may have been made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// The caller lacks this permission, which the operation requires or would grant.
    #[error("the caller lacks the permission {0}")]
    NotPermitted(Permission),
    /// A `test` caller asked for a `live` key.
    #[error("a test caller cannot create a live key")]
    Environment,
    /// The requested expiry is not in the future.
    #[error("expires_at must be in the future")]
    ExpiryPast,
    /// The requested expiry is later than the caller's own.
    #[error("expires_at must not be later than the caller's own expiry")]
    ExpiryBeyondCaller,
    /// The requested expiry is later than the maximum lifetime of a key allows.
    #[error("expires_at must not be later than {latest}, which is the maximum lifetime of the key")]
    ExpiryBeyondPolicy {
        /// The latest expiry that the key can have.
        latest: Timestamp,
    },
    /// The requested expiry of a rotated key is later than its current one.
    #[error("expires_at of a rotated key can only move to an earlier time")]
    ExpiryAfterRotation,
    /// The key could be used from addresses from which the caller may not be used.
    #[error("allowed_ips must lie within the addresses from which the caller may be used")]
    AddressesBeyondCaller,
    /// The caller has expired, is disabled or was revoked.
    #[error("the caller has expired, is disabled or was revoked")]
    CallerInactive,
    /// The caller is a key that the verifier of another [`Keywright`](crate::Keywright) verified.
    #[error("the caller was verified by another instance")]
    CallerForeign,
    /// The caller's workspace has no such key in an environment that the caller sees, or the key is
    /// revoked and the operation requires one that is not.
    #[error("there is no such key")]
    NotFound,
    /// The key has expired, so it cannot be updated.
    #[error("the key has expired")]
    Expired,
    /// The key's record does not have the version that the update requires.
    #[error("the key was changed since it was read")]
    VersionMismatch,
    /// Keys are created faster than [`revoke_all`](crate::Issuer::revoke_all) revokes them.
    #[error("keys are being created faster than they can be revoked")]
    StillCreated,
    /// The key cannot be rotated, because it has expired, is disabled or already has a successor.
    #[error("the key has expired, is disabled or was already rotated")]
    NotRotatable,
    /// The cursor is malformed, or belongs to another list.
    #[error("cursor does not belong to this list")]
    Cursor,
    /// The store has no event log, or [the retention](crate::Config::with_event_retention) is zero.
    #[error("the store keeps no events")]
    NoEventLog,
    /// The idempotency key was already used for another request.
    #[error("the idempotency key was used for another request")]
    IdempotencyMismatch,
    /// Another program has claimed the store for another prefix since this one opened it.
    #[error("the store's keys begin with {store}_, not with {configured}_")]
    Prefix {
        /// The prefix that the store was claimed for.
        store: Prefix,
        /// The prefix of the configuration.
        configured: Prefix,
    },
    /// The source of random bytes failed.
    #[error("could not read random bytes")]
    Random(#[from] RandomError),
    /// The secret could not be hashed.
    #[error("could not hash the secret")]
    Hash(#[from] HashError),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}
