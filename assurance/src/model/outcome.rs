//! The outcomes of calls.

use keywright_core::{Environment, Status};

use super::{
    event::{EventNumber, EventQuery},
    key::Number,
};

/// The outcome of a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CallOutcome {
    /// There is nothing to compare: the action returns no value, or its caller does not exist.
    Nothing,
    /// The call was rejected.
    Rejected(Rejection),
    /// The call created this key and returned its token.
    Issued(Number),
    /// The call repeated an earlier request and returned the key that the first request created.
    Replayed(Number),
    /// The call returned this key in its current state.
    Key(Number),
    /// The call revoked keys.
    Revoked {
        /// Whether the named key was not revoked before.
        first: bool,
        /// The number of keys that the call revoked.
        count: u64,
    },
    /// The call revoked this many keys of its caller's workspace or of an owner.
    RevokedAll(u64),
    /// These keys match the query. The call returned one page of them.
    Listed(ListQuery, Vec<Number>),
    /// The verdict on a token that was verified.
    Verified(Verdict),
    /// The verdict on a token, as reported to a service.
    Introspected(Verdict),
    /// The call deleted this many records.
    Purged(u64),
    /// These events match the query. The call returned one page of them.
    Events(EventQuery, Vec<EventNumber>),
    /// The call deleted this many events.
    PurgedEvents(u64),
    /// The store already has keys, so no first key was created.
    NotFirst,
}

/// The reason why a call was rejected.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Rejection {
    /// The caller has expired, is paused or is revoked.
    CallerInactive,
    /// The caller's key may not be used from the address of the request.
    CallerAddress,
    /// The caller lacks a permission that the call needs or that it wants to grant.
    NotPermitted,
    /// A `test` caller requested a `live` key.
    Environment,
    /// The requested expiry is not in the future.
    ExpiryPast,
    /// The requested expiry is later than the caller's.
    ExpiryBeyondCaller,
    /// The requested expiry is later than the maximum lifetime allows.
    ExpiryBeyondPolicy,
    /// The requested expiry of a rotated key is later than its current expiry.
    ExpiryAfterRotation,
    /// The key could be used from addresses from which the caller may not be used.
    AddressesBeyondCaller,
    /// The caller sees no such key, or the key is revoked.
    NotFound,
    /// The key has expired, so it cannot be updated.
    Expired,
    /// The key does not have the version that the update requires.
    VersionMismatch,
    /// The key has expired, is disabled or already has a successor.
    NotRotatable,
    /// The cursor does not belong to this list.
    Cursor,
    /// The idempotency key was used for a different request.
    IdempotencyMismatch,
}

impl Rejection {
    /// Whether a request that once succeeded can later be rejected for this reason. A repeated
    /// request returns the first outcome instead.
    pub(super) const fn can_arise_later(self) -> bool {
        matches!(
            self,
            Self::ExpiryPast
                | Self::ExpiryBeyondCaller
                | Self::ExpiryBeyondPolicy
                | Self::NotFound
                | Self::NotRotatable
        )
    }
}

/// The verdict on a token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    /// The token is valid and belongs to this key.
    Accepted(Number),
    /// The text is not a token.
    Malformed,
    /// No key has this id.
    Unknown,
    /// The key has a different secret.
    WrongSecret,
    /// The key is revoked.
    Revoked,
    /// The key has expired.
    Expired,
    /// The key is paused.
    Disabled,
    /// The key may not be used from the address of the client, or the address is unknown.
    AddressNotAllowed,
    /// The key lacks the permission that a service requires.
    InsufficientPermission,
    /// The record of the revoked or expired key was deleted. A process that still has the key in
    /// its cache reports why it denies the token. Other processes report that the key is unknown.
    Gone,
}

/// The parameters of a list, and whose keys it contains. A cursor belongs to one such query.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListQuery {
    /// The workspace.
    pub workspace: &'static str,
    /// The caller's environment.
    pub environment: Environment,
    /// Only keys of this owner.
    pub owner: Option<&'static str>,
    /// Only keys with this status.
    pub status: Option<Status>,
    /// Only keys whose name contains this text, ignoring case.
    pub search: String,
}
