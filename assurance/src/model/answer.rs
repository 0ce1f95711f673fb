//! What calls answer.

use keywright_core::{Environment, Status};

use super::Number;

/// What a call must answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Nothing was asked, or nobody asked it.
    Nothing,
    /// It was not done.
    Refused(Refusal),
    /// This key was made, and its token given out.
    Issued(Number),
    /// It is a repeat, and this is what came of it the first time.
    Replayed(Number),
    /// This key, as it is now.
    Key(Number),
    /// What was revoked.
    Revoked {
        /// Whether the named key was not revoked before.
        first: bool,
        /// How many keys were revoked.
        count: u64,
    },
    /// These keys match, of which a page is shown.
    Listed(Query, Vec<Number>),
    /// What became of a token.
    Verified(Verdict),
    /// What a service is told of a token.
    Introspected(Verdict),
    /// So many records were deleted.
    Purged(u64),
    /// The store has keys already.
    NotFirst,
}

/// Why a call was not done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Refusal {
    /// The caller has ended.
    CallerInactive,
    /// The caller may not do that, or has not what it would give.
    NotPermitted,
    /// A `test` caller wants a `live` key.
    Environment,
    /// The wanted end is not in the future.
    ExpiryPast,
    /// The wanted end is later than the caller's.
    ExpiryBeyondCaller,
    /// There is no such key that the caller sees and that is not revoked.
    NotFound,
    /// The key has ended or has a successor.
    NotRotatable,
    /// The cursor belongs to no such list.
    Cursor,
    /// The idempotency key was used for another request.
    IdempotencyMismatch,
}

impl Refusal {
    /// Whether it can come with time: then a repeat is told what came of the first request.
    pub(super) const fn comes_with_time(self) -> bool {
        matches!(
            self,
            Self::ExpiryPast | Self::ExpiryBeyondCaller | Self::NotFound | Self::NotRotatable
        )
    }
}

/// What a token is worth.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    /// It opens what this key may.
    Accepted(Number),
    /// It is no token.
    Malformed,
    /// It has no key.
    Unknown,
    /// Its key has another secret.
    WrongSecret,
    /// Its key was revoked.
    Revoked,
    /// Its key has expired.
    Expired,
    /// The record of its revoked key was deleted: a process that still remembers it says why it is
    /// denied, others that it is unknown.
    Gone,
}

/// What a list was asked for, and by whom: a cursor belongs to one such list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Query {
    /// The workspace.
    pub workspace: &'static str,
    /// The caller's environment.
    pub environment: Environment,
    /// Only keys of this status.
    pub status: Option<Status>,
    /// Only keys whose name holds this, in whatever case.
    pub search: String,
}
