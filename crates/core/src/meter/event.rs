//! The values that label the metrics.

use std::time::Duration;

/// How a verification ended.
#[derive(Clone, Copy)]
pub(crate) enum VerificationOutcome {
    Accepted,
    Malformed,
    Unknown,
    WrongSecret,
    Revoked,
    Expired,
    Disabled,
    AddressNotAllowed,
    Undecided,
}

/// The reason why a verification could not use the cache.
#[derive(Clone, Copy)]
pub(crate) enum CacheMiss {
    /// The key is not cached.
    Absent,
    /// The record has changed.
    Stale,
    /// The lease does not hold.
    Lapsed,
}

/// The current state of one [`Keywright`](crate::Keywright).
#[cfg_attr(
    not(feature = "metrics"),
    expect(dead_code, reason = "nothing reads it")
)]
pub(crate) struct InstanceState {
    pub(crate) cached_keys: usize,
    pub(crate) cached_bytes: usize,
    /// The runs of Argon2 that wait, for verifications, for new hashes and for checks.
    pub(crate) waiting_verifications: usize,
    pub(crate) waiting_new_hashes: usize,
    pub(crate) waiting_checks: usize,
    pub(crate) last_uses_waiting: usize,
    pub(crate) lease_holds: bool,
    /// The time until the lease lapses, or `None` if it has no end.
    pub(crate) lease_remaining: Option<Duration>,
}
