//! The model's callers, and what they may do.

use std::collections::BTreeSet;

use keywright_core::Environment;

use super::key::{Key, Millis, Number};
use crate::vocabulary::Host;

/// The identity that a call is made with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Principal {
    Host(usize),
    Key(Number),
}

impl Principal {
    /// The number of the key, unless the principal is a host's user.
    pub(super) const fn key(self) -> Option<Number> {
        match self {
            Self::Host(_) => None,
            Self::Key(number) => Some(number),
        }
    }
}

/// The workspace, environment and permissions of a principal.
pub(super) struct Caller {
    pub(super) workspace: &'static str,
    pub(super) environment: Environment,
    pub(super) permissions: BTreeSet<&'static str>,
    pub(super) expires_at: Option<Millis>,
}

impl Caller {
    pub(super) fn of_host(host: &Host) -> Self {
        Self {
            workspace: host.workspace,
            environment: host.environment,
            permissions: split(host.permissions),
            expires_at: host.expires_at,
        }
    }

    pub(super) fn of_key(key: &Key) -> Self {
        Self {
            workspace: key.workspace,
            environment: key.environment,
            permissions: key.permissions.clone(),
            expires_at: key.expires_at,
        }
    }

    /// Whether the caller can use keys of this environment. A `test` caller is limited to `test`
    /// keys.
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

/// Splits a comma-separated list of permissions.
pub(super) fn split(list: &'static str) -> BTreeSet<&'static str> {
    list.split(',').filter(|text| !text.is_empty()).collect()
}

/// Whether `granted` equals `wanted` or is a pattern that matches it.
fn covers(granted: &str, wanted: &str) -> bool {
    granted == "*"
        || granted == wanted
        || granted.ends_with(":*") && wanted.starts_with(&granted[..granted.len() - 1])
}
