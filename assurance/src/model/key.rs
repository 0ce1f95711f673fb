//! The model's keys.

use std::collections::BTreeSet;

use keywright_core::{Environment, Status};

/// A time in Unix milliseconds, or a duration in milliseconds.
pub type Millis = i64;

/// A key, identified by its position in the order of creation.
pub type Number = usize;

/// The properties of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Key {
    /// The workspace that it belongs to.
    pub workspace: &'static str,
    /// Live or test.
    pub environment: Environment,
    /// The owner.
    pub owner: Option<&'static str>,
    /// The name.
    pub name: &'static str,
    /// The permissions.
    pub permissions: BTreeSet<&'static str>,
    /// The client's notes.
    pub metadata: Option<&'static str>,
    /// The host's data.
    pub attributes: Option<&'static str>,
    /// Whether it is not paused.
    pub enabled: bool,
    /// The addresses from which it may be used, separated by commas. `None` allows every address.
    pub allowed_ips: Option<&'static str>,
    /// The key that created it.
    pub parent: Option<Number>,
    /// The key that replaced it.
    pub successor: Option<Number>,
    /// The key that it replaced.
    pub predecessor: Option<Number>,
    /// The key that received its secret by rotating its predecessor.
    pub rotated_by: Option<Number>,
    /// The time of its creation.
    pub created_at: Millis,
    /// The time of its expiry.
    pub expires_at: Option<Millis>,
    /// The time of its revocation.
    pub revoked_at: Option<Millis>,
    /// How often it was updated, rotated or revoked.
    pub changes: u64,
}

impl Key {
    /// The status at `now`: the first that applies of revoked, expired and disabled.
    #[must_use]
    pub fn status(&self, now: Millis) -> Status {
        if self.revoked_at.is_some() {
            Status::Revoked
        } else if self.expires_at.is_some_and(|end| end <= now) {
            Status::Expired
        } else if !self.enabled {
            Status::Disabled
        } else {
            Status::Active
        }
    }

    /// Whether the key with this number received this key's secret, because it created this key or
    /// rotated its predecessor.
    #[must_use]
    pub fn was_received_by(&self, number: Number) -> bool {
        [self.parent, self.rotated_by].contains(&Some(number))
    }

    pub(super) fn is_active(&self, now: Millis) -> bool {
        self.status(now) == Status::Active
    }

    pub(super) fn revoke(&mut self, now: Millis) {
        self.revoked_at = Some(now);
        self.changes += 1;
    }
}
