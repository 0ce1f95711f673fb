//! Keys and callers of the reference.

use std::collections::BTreeSet;

use keywright_core::{Environment, Status};

use super::{Millis, Number};
use crate::words::Host;

/// What is known of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Key {
    /// Where it belongs.
    pub workspace: &'static str,
    /// Live or test.
    pub environment: Environment,
    /// What people call it.
    pub name: &'static str,
    /// What it may do.
    pub permissions: BTreeSet<&'static str>,
    /// The host's notes.
    pub metadata: Option<&'static str>,
    /// The key that created it.
    pub parent: Option<Number>,
    /// The key that has replaced it.
    pub successor: Option<Number>,
    /// When it was created.
    pub created_at: Millis,
    /// When it ends.
    pub expires_at: Option<Millis>,
    /// When it was revoked.
    pub revoked_at: Option<Millis>,
}

impl Key {
    /// Whether it opens anything. Revoked comes before expired.
    #[must_use]
    pub fn status(&self, now: Millis) -> Status {
        if self.revoked_at.is_some() {
            Status::Revoked
        } else if self.expires_at.is_some_and(|end| end <= now) {
            Status::Expired
        } else {
            Status::Active
        }
    }

    pub(super) fn is_active(&self, now: Millis) -> bool {
        self.status(now) == Status::Active
    }
}

/// Whom a call comes from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Asker {
    Host(usize),
    Key(Number),
}

impl Asker {
    /// The key that it is.
    pub(super) const fn key(self) -> Option<Number> {
        match self {
            Self::Host(_) => None,
            Self::Key(number) => Some(number),
        }
    }
}

/// What somebody who calls may do.
pub(super) struct Caller {
    pub(super) workspace: &'static str,
    pub(super) environment: Environment,
    pub(super) permissions: BTreeSet<&'static str>,
    pub(super) ends: Option<Millis>,
}

impl Caller {
    pub(super) fn of_host(host: &Host) -> Self {
        Self {
            workspace: host.workspace,
            environment: host.environment,
            permissions: split(host.permissions),
            ends: host.ends,
        }
    }

    pub(super) fn of_key(key: &Key) -> Self {
        Self {
            workspace: key.workspace,
            environment: key.environment,
            permissions: key.permissions.clone(),
            ends: key.expires_at,
        }
    }

    /// A `test` caller has to do with `test` keys alone.
    pub(super) fn reaches(&self, environment: Environment) -> bool {
        self.environment == Environment::Live || environment == Environment::Test
    }

    pub(super) fn sees(&self, key: &Key) -> bool {
        self.workspace == key.workspace && self.reaches(key.environment)
    }

    pub(super) fn may(&self, permission: &str) -> bool {
        self.permissions.iter().any(|own| covers(own, permission))
    }
}

/// The permissions of a list with commas between.
pub(super) fn split(list: &'static str) -> BTreeSet<&'static str> {
    list.split(',').filter(|text| !text.is_empty()).collect()
}

/// Whether one permission is the other, or a pattern that the other falls under.
fn covers(one: &str, other: &str) -> bool {
    one == "*" || one == other || one.ends_with(":*") && other.starts_with(&one[..one.len() - 1])
}
