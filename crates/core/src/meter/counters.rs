//! Counters of events, incremented where the events happen.

use super::{
    event::{CacheMiss, VerificationOutcome},
    striped::Striped,
};

/// The counters of this process, to which all instances add.
static COUNTERS: Striped<{ Counter::COUNT }> = Striped::new();

/// All outcomes with their labels.
pub(super) const OUTCOMES: [(VerificationOutcome, &str); 9] = [
    (VerificationOutcome::Accepted, "accepted"),
    (VerificationOutcome::Malformed, "malformed"),
    (VerificationOutcome::Unknown, "unknown"),
    (VerificationOutcome::WrongSecret, "wrong_secret"),
    (VerificationOutcome::Revoked, "revoked"),
    (VerificationOutcome::Expired, "expired"),
    (VerificationOutcome::Disabled, "disabled"),
    (
        VerificationOutcome::AddressNotAllowed,
        "address_not_allowed",
    ),
    (VerificationOutcome::Undecided, "undecided"),
];

/// All reasons for a cache miss with their labels.
pub(super) const MISSES: [(CacheMiss, &str); 3] = [
    (CacheMiss::Absent, "absent"),
    (CacheMiss::Stale, "stale"),
    (CacheMiss::Lapsed, "lapsed"),
];

/// One counter.
// A verification in memory increments only one counter, so verifications in memory and all others
// have separate counters.
#[derive(Clone, Copy)]
pub(super) enum Counter {
    /// Verifications decided in memory.
    InMemory(VerificationOutcome),
    /// All other verifications.
    NotInMemory(VerificationOutcome),
    Missed(CacheMiss),
    Evicted,
    Argon2Started,
    Rehashed,
    TagRefuted,
}

impl Counter {
    const MISSED: usize = 2 * OUTCOMES.len();
    const OTHERS: usize = Self::MISSED + MISSES.len();
    const COUNT: usize = Self::OTHERS + 4;

    const fn index(self) -> usize {
        match self {
            Self::InMemory(outcome) => outcome as usize,
            Self::NotInMemory(outcome) => OUTCOMES.len() + outcome as usize,
            Self::Missed(miss) => Self::MISSED + miss as usize,
            Self::Evicted => Self::OTHERS,
            Self::Argon2Started => Self::OTHERS + 1,
            Self::Rehashed => Self::OTHERS + 2,
            Self::TagRefuted => Self::OTHERS + 3,
        }
    }

    fn increment(self) {
        COUNTERS.increment(self.index());
    }

    /// Returns how often the event has happened in this process.
    pub(super) fn sum(self) -> u64 {
        COUNTERS.sum(self.index())
    }
}

/// Counts a verification that was decided in memory.
pub(crate) fn verified_in_memory(outcome: impl FnOnce() -> VerificationOutcome) {
    Counter::InMemory(outcome()).increment();
}

/// Counts a verification that was not decided in memory.
pub(crate) fn verified(outcome: impl FnOnce() -> VerificationOutcome) {
    Counter::NotInMemory(outcome()).increment();
}

pub(crate) fn cache_missed(reason: impl FnOnce() -> CacheMiss) {
    Counter::Missed(reason()).increment();
}

pub(crate) fn evicted() {
    Counter::Evicted.increment();
}

pub(crate) fn argon2_started() {
    Counter::Argon2Started.increment();
}

pub(crate) fn rehashed() {
    Counter::Rehashed.increment();
}

pub(crate) fn tag_refuted() {
    Counter::TagRefuted.increment();
}
