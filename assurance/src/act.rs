//! What can be done to the service, as data: any sequence of these means something.

use std::fmt;

use keywright_core::{Environment, Reach, Status};

/// The name that a sequence gives to a key. A later key can take it over; one that no key has yet stands
/// for an id that does not exist.
pub type Slot = usize;

/// One call, in one of the processes that have the store open.
#[derive(Clone)]
pub struct Step {
    /// In which process.
    pub at: usize,
    /// What is called.
    pub act: Act,
}

impl fmt::Debug for Step {
    /// On one line, so that a sequence can be read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, act } = self;
        write!(f, "{at}: {act:?}")
    }
}

/// Who calls.
#[derive(Clone, Copy, Debug)]
pub enum Who {
    /// One of [`HOSTS`](crate::words::HOSTS).
    Host(usize),
    /// A key. Without a key of that name nobody calls.
    Key(Slot),
}

/// A call, or what happens between calls.
#[derive(Clone, Debug)]
pub enum Act {
    /// A key is created.
    Create {
        /// By whom.
        by: Who,
        /// What the key is called from now on.
        into: Slot,
        /// What is asked for.
        new: New,
        /// Whether it may be a repeat.
        once: Option<Once>,
    },
    /// A key is replaced.
    Rotate {
        /// By whom.
        by: Who,
        /// Which one.
        key: Slot,
        /// What the successor is called from now on.
        into: Slot,
        /// For how many milliseconds the old one lives on.
        overlap: i64,
        /// In how many milliseconds the successor ends.
        end: Option<i64>,
        /// Whether it may be a repeat.
        once: Option<Once>,
    },
    /// A key gets another name or other metadata.
    Rename {
        /// By whom.
        by: Who,
        /// Which one.
        key: Slot,
        /// The new name.
        name: Option<&'static str>,
        /// The new metadata.
        metadata: Option<&'static str>,
    },
    /// A key is withdrawn.
    Revoke {
        /// By whom.
        by: Who,
        /// Which one.
        key: Slot,
        /// With what descends from it or without.
        reach: Reach,
    },
    /// A key is looked at.
    Find {
        /// By whom.
        by: Who,
        /// Which one.
        key: Slot,
    },
    /// Keys are listed.
    List {
        /// By whom.
        by: Who,
        /// Only those of this status.
        status: Option<Status>,
        /// Only those whose name holds this.
        search: Option<&'static str>,
        /// At most so many.
        limit: u32,
        /// Which page.
        page: Page,
    },
    /// A token is verified.
    Verify(Presented),
    /// A service asks whether a token is valid.
    Introspect {
        /// Who asks.
        by: Who,
        /// What was presented.
        token: Presented,
    },
    /// Records of keys that were revoked long ago are deleted.
    Purge {
        /// In this workspace or in all.
        workspace: Option<&'static str>,
        /// Those revoked so many milliseconds ago, or longer.
        age: i64,
    },
    /// A server asks for the first key of the store, which is not empty.
    First,
    /// The times of last use are written.
    Flush,
    /// A process ends and begins again, or both do, perhaps with other settings.
    Reopen {
        /// Whether both do.
        all: bool,
        /// Whether new keys are hashed with Argon2id, and two keys at most are remembered.
        argon2: bool,
    },
    /// So many milliseconds pass.
    Wait(i64),
}

/// The key that is asked for.
#[derive(Clone, Debug)]
pub struct New {
    /// Its name.
    pub name: &'static str,
    /// Live or test.
    pub environment: Option<Environment>,
    /// What it may do, with commas between.
    pub permissions: Option<&'static str>,
    /// When it ends.
    pub end: End,
    /// Its metadata.
    pub metadata: Option<&'static str>,
}

/// When a new key ends.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// With its caller.
    Inherited,
    /// It has ended already.
    Now,
    /// In so many milliseconds.
    In(i64),
}

/// An idempotency key, and what is said to be the request.
#[derive(Clone, Copy, Debug)]
pub struct Once {
    /// The idempotency key's number.
    pub key: u8,
    /// The request's.
    pub request: u8,
}

/// Which page of a list.
#[derive(Clone, Copy, Debug)]
pub enum Page {
    /// By its number.
    Number(u32),
    /// By one of the cursors that earlier lists gave; without any, by what is none.
    Cursor(usize),
}

/// What is presented as a token.
#[derive(Clone, Copy, Debug)]
pub enum Presented {
    /// The token of a key.
    Token(Slot),
    /// The same with another key's secret.
    OtherSecret(Slot),
    /// The same for the other environment.
    OtherEnvironment(Slot),
    /// The same with one character changed.
    Damaged(Slot),
}

impl Presented {
    /// Whose token it is, or was made of.
    #[must_use]
    pub const fn slot(self) -> Slot {
        match self {
            Self::Token(slot)
            | Self::OtherSecret(slot)
            | Self::OtherEnvironment(slot)
            | Self::Damaged(slot) => slot,
        }
    }
}
