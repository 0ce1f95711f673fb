//! The actions that a sequence consists of, as data. Any sequence of them is valid.

use std::fmt;

use keywright_core::{Change, Environment, EventOrder, Reach, Status};

/// The number under which a sequence refers to a key.
///
/// A later key can take over the slot. An empty slot stands for an id that does not exist.
pub type Slot = usize;

/// An action, and the process that it happens in.
#[derive(Clone)]
pub struct Step {
    /// The index of the process.
    pub process: usize,
    /// The action.
    pub action: Action,
}

impl fmt::Debug for Step {
    /// Formats the step on one line, so that a printed sequence is readable.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { process, action } = self;
        write!(f, "{process}: {action:?}")
    }
}

/// The caller of an action.
#[derive(Clone, Copy, Debug)]
pub enum Actor {
    /// An index into [`HOSTS`](crate::vocabulary::HOSTS).
    Host(usize),
    /// The key in a slot. If the slot is empty, no call is made.
    Key(Slot),
}

/// A call, or an event between calls.
#[derive(Clone, Debug)]
pub enum Action {
    /// Creates a key.
    Create {
        /// The caller.
        by: Actor,
        /// The slot for the new key.
        into: Slot,
        /// The requested properties.
        new: KeyRequest,
        /// The idempotency key, if the request has one.
        idempotency: Option<Idempotency>,
    },
    /// Replaces a key with a successor.
    Rotate {
        /// The caller.
        by: Actor,
        /// The key to rotate.
        key: Slot,
        /// The slot for the successor.
        into: Slot,
        /// How long the old key stays valid, in milliseconds.
        overlap: i64,
        /// The requested lifetime of the successor, in milliseconds.
        lifetime: Option<i64>,
        /// The idempotency key, if the request has one.
        idempotency: Option<Idempotency>,
    },
    /// Changes the settings of a key.
    Update {
        /// The caller.
        by: Actor,
        /// The key to change.
        key: Slot,
        /// The change.
        update: KeyChange,
    },
    /// Sets or removes the attributes of a key, which only the host can do.
    SetAttributes {
        /// An index into [`HOSTS`](crate::vocabulary::HOSTS).
        by: usize,
        /// The key to change.
        key: Slot,
        /// The attributes, or `None` to remove them.
        attributes: Option<&'static str>,
    },
    /// Revokes a key.
    Revoke {
        /// The caller.
        by: Actor,
        /// The key to revoke.
        key: Slot,
        /// Whether the descendants are also revoked.
        reach: Reach,
    },
    /// Revokes all keys that the caller reaches.
    RevokeAll {
        /// The caller.
        by: Actor,
        /// Only keys of this owner.
        owner: Option<&'static str>,
    },
    /// Reads one key.
    Find {
        /// The caller.
        by: Actor,
        /// The key to read.
        key: Slot,
    },
    /// Lists keys.
    List {
        /// The caller.
        by: Actor,
        /// Only keys of this owner.
        owner: Option<&'static str>,
        /// Only keys with this status.
        status: Option<Status>,
        /// Only keys whose name contains this text.
        search: Option<&'static str>,
        /// The maximum number of keys on a page.
        limit: u32,
        /// The page.
        page: Page,
    },
    /// Verifies a token. If it is accepted, its key makes later calls in the state in which it was
    /// verified.
    Verify {
        /// The token.
        token: PresentedToken,
        /// The address of the client, if it is known.
        from: Option<&'static str>,
    },
    /// Introspects a token, as a service does.
    Introspect {
        /// The caller.
        by: Actor,
        /// The token to introspect.
        token: PresentedToken,
        /// The address from which the token was used, if it is known.
        from: Option<&'static str>,
        /// The permission that the key must have.
        permission: Option<&'static str>,
    },
    /// Deletes the records of keys that were revoked or expired long ago.
    Purge {
        /// The workspace, or `None` for all of them.
        workspace: Option<&'static str>,
        /// The minimum time since the revocation, in milliseconds. `None` deletes no key because it
        /// was revoked.
        revoked: Option<i64>,
        /// The minimum time since the expiry, in milliseconds. `None` deletes no key because it has
        /// expired.
        expired: Option<i64>,
    },
    /// Lists events.
    Events {
        /// The caller.
        by: Actor,
        /// Only events of the key in this slot.
        key: Option<Slot>,
        /// Only events of keys of this owner.
        owner: Option<&'static str>,
        /// The order.
        order: EventOrder,
        /// The maximum number of events on a page.
        limit: u32,
        /// An index into the cursors that earlier lists of events returned. `None` reads the first
        /// page. If there are no cursors yet, the call sends an invalid cursor.
        cursor: Option<usize>,
    },
    /// Deletes old events.
    PurgeEvents {
        /// The workspace, or `None` for all of them.
        workspace: Option<&'static str>,
        /// The minimum time since the change, in milliseconds. An event of exactly this age stays.
        age: i64,
    },
    /// Requests the first key of a store that is not empty.
    First,
    /// Writes the buffered times of last use to the store.
    Flush,
    /// Restarts one process or both, possibly with other settings.
    Reopen {
        /// Whether both processes restart.
        all: bool,
        /// Whether new keys are hashed with Argon2id and the cache holds at most two keys.
        argon2: bool,
        /// Whether keys have a maximum lifetime,
        /// [`MAX_LIFETIME`](crate::vocabulary::MAX_LIFETIME).
        limited: bool,
    },
    /// Advances the clock by this many milliseconds.
    Wait(i64),
}

/// The requested properties of a new key.
#[derive(Clone, Debug)]
pub struct KeyRequest {
    /// The name.
    pub name: &'static str,
    /// Live or test. `None` uses the caller's.
    pub environment: Option<Environment>,
    /// The permissions, separated by commas. `None` uses the caller's.
    pub permissions: Option<&'static str>,
    /// The expiry.
    pub expiry: RequestedExpiry,
    /// The metadata.
    pub metadata: Option<&'static str>,
    /// The allowed addresses, separated by commas. `None` uses the caller's.
    pub allowed_ips: Option<&'static str>,
}

/// A change of the settings of a key.
#[derive(Clone, Debug)]
pub struct KeyChange {
    /// The new name.
    pub name: Option<&'static str>,
    /// The new permissions, separated by commas.
    pub permissions: Option<&'static str>,
    /// The change of the metadata.
    pub metadata: Change<&'static str>,
    /// Whether the key is resumed or paused.
    pub enabled: Option<bool>,
    /// The change of the expiry. A new expiry is this many milliseconds from now.
    pub expires_in: Change<i64>,
    /// The change of the allowed addresses, which are separated by commas.
    pub allowed_ips: Change<&'static str>,
    /// The version that the key must have.
    pub version: RequiredVersion,
}

/// The version that a key must have for a change to be made.
#[derive(Clone, Copy, Debug)]
pub enum RequiredVersion {
    /// Any version.
    Any,
    /// The version that the latest call returned that created, read or changed the key.
    AsRead,
    /// A version that the key no longer has.
    Older,
}

/// The requested expiry of a new key.
#[derive(Clone, Copy, Debug)]
pub enum RequestedExpiry {
    /// Expires with its caller.
    Inherited,
    /// Has already expired when it is created.
    Now,
    /// Expires after this many milliseconds.
    In(i64),
}

/// An idempotency key, and the request that it is sent with.
#[derive(Clone, Copy, Debug)]
pub struct Idempotency {
    /// The number of the idempotency key.
    pub key: u8,
    /// The number of the request body.
    pub request: u8,
}

/// A page of a list.
#[derive(Clone, Copy, Debug)]
pub enum Page {
    /// A page number, starting at 1.
    Number(u32),
    /// An index into the cursors that earlier lists returned. If there are none yet, the call sends
    /// an invalid cursor.
    Cursor(usize),
}

/// The token that a request presents.
#[derive(Clone, Copy, Debug)]
pub enum PresentedToken {
    /// The token of a key.
    Token(Slot),
    /// The token of a key, with the secret of another key.
    OtherSecret(Slot),
    /// The token of a key, with the other environment.
    OtherEnvironment(Slot),
    /// The token of a key, with one character changed.
    Damaged(Slot),
}

impl PresentedToken {
    /// The slot of the key that the token belongs to or is derived from.
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
