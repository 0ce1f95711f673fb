//! What is counted where it happens. One verification that is decided in memory counts once.

use super::striped::Striped;
use crate::{Denied, Verified, VerifyError, verifier::Miss};

/// The counts of the process: whatever is opened in it adds to them.
static COUNTS: Striped<{ Count::SLOTS }> = Striped::new();

/// What comes of a verification.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
    Accepted,
    Malformed,
    Unknown,
    WrongSecret,
    Revoked,
    Expired,
    Undecided,
}

/// Why the store was asked.
pub(super) const MISSES: [(Miss, &str); 3] = [
    (Miss::Absent, "absent"),
    (Miss::Stale, "stale"),
    (Miss::Lapsed, "lapsed"),
];

/// What has happened.
#[derive(Clone, Copy)]
pub(super) enum Count {
    /// A verification was decided from a fresh copy.
    InMemory(Outcome),
    /// A verification was decided otherwise.
    Otherwise(Outcome),
    /// There was no fresh copy.
    Missed(Miss),
    Evicted,
    Argon2Ran,
    Rehashed,
}

impl Outcome {
    pub(super) const ALL: [(Self, &str); 7] = [
        (Self::Accepted, "accepted"),
        (Self::Malformed, "malformed"),
        (Self::Unknown, "unknown"),
        (Self::WrongSecret, "wrong_secret"),
        (Self::Revoked, "revoked"),
        (Self::Expired, "expired"),
        (Self::Undecided, "undecided"),
    ];

    const fn denied(denied: &Denied) -> Self {
        match denied {
            Denied::Malformed(_) => Self::Malformed,
            Denied::Unknown(_) => Self::Unknown,
            Denied::WrongSecret(_) => Self::WrongSecret,
            Denied::Revoked(_) => Self::Revoked,
            Denied::Expired(_) => Self::Expired,
        }
    }
}

impl Count {
    const OUTCOMES: usize = Outcome::ALL.len();
    const MISSED: usize = 2 * Self::OUTCOMES;
    const OTHERS: usize = Self::MISSED + MISSES.len();
    const SLOTS: usize = Self::OTHERS + 3;

    const fn slot(self) -> usize {
        match self {
            Self::InMemory(outcome) => outcome as usize,
            Self::Otherwise(outcome) => Self::OUTCOMES + outcome as usize,
            Self::Missed(miss) => Self::MISSED + miss as usize,
            Self::Evicted => Self::OTHERS,
            Self::Argon2Ran => Self::OTHERS + 1,
            Self::Rehashed => Self::OTHERS + 2,
        }
    }

    fn add(self) {
        COUNTS.add(self.slot());
    }

    /// How often it has happened in this process.
    pub(super) fn sum(self) -> u64 {
        COUNTS.sum(self.slot())
    }
}

pub(crate) fn malformed() {
    Count::Otherwise(Outcome::Malformed).add();
}

pub(crate) fn in_memory(decided: &Result<Verified, Denied>) {
    Count::InMemory(match decided {
        Ok(_) => Outcome::Accepted,
        Err(denied) => Outcome::denied(denied),
    })
    .add();
}

pub(crate) fn in_store(decided: &Result<Verified, VerifyError>) {
    Count::Otherwise(match decided {
        Ok(_) => Outcome::Accepted,
        Err(VerifyError::Denied(denied)) => Outcome::denied(denied),
        Err(VerifyError::Undecided(_)) => Outcome::Undecided,
    })
    .add();
}

pub(crate) fn missed(miss: impl FnOnce() -> Miss) {
    Count::Missed(miss()).add();
}

pub(crate) fn evicted() {
    Count::Evicted.add();
}

pub(crate) fn argon2_ran() {
    Count::Argon2Ran.add();
}

pub(crate) fn rehashed() {
    Count::Rehashed.add();
}
