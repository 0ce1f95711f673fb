//! The model's callers, and what they may do.

use std::collections::BTreeSet;

use keywright_core::Environment;

use super::{
    addresses,
    key::{Key, Millis, Number},
    outcome::Rejection,
};
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

/// The properties of a principal that decide what it may do.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) workspace: &'static str,
    pub(super) environment: Environment,
    pub(super) owner: Option<&'static str>,
    pub(super) permissions: BTreeSet<&'static str>,
    pub(super) attributes: Option<&'static str>,
    pub(super) allowed_ips: Option<&'static str>,
    pub(super) expires_at: Option<Millis>,
}

/// The keys of the workspace on which a caller has a right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Access {
    All,
    /// Only those of this owner.
    OwnedBy(&'static str),
}

impl Caller {
    pub(super) fn of_host(host: &Host) -> Self {
        Self {
            workspace: host.workspace,
            environment: host.environment,
            owner: host.owner,
            permissions: split(host.permissions),
            attributes: host.attributes,
            allowed_ips: host.allowed_ips,
            expires_at: host.expires_at,
        }
    }

    pub(super) fn of_key(key: &Key) -> Self {
        Self {
            workspace: key.workspace,
            environment: key.environment,
            owner: key.owner,
            permissions: key.permissions.clone(),
            attributes: key.attributes,
            allowed_ips: key.allowed_ips,
            expires_at: key.expires_at,
        }
    }

    /// Returns the caller of a key that was verified earlier, now that the key may have changed. It
    /// has the permissions, the addresses and the attributes that the key has now, and no end
    /// beyond the one that the key had then.
    pub(super) fn narrowed_to(&self, key: &Key) -> Self {
        Self {
            permissions: key.permissions.clone(),
            attributes: key.attributes,
            allowed_ips: key.allowed_ips,
            expires_at: earliest([self.expires_at, key.expires_at]),
            ..self.clone()
        }
    }

    /// Whether the caller can use keys of this environment. A `test` caller is limited to `test`
    /// keys.
    pub(super) fn reaches(&self, environment: Environment) -> bool {
        self.environment == Environment::Live || environment == Environment::Test
    }

    pub(super) fn sees(&self, access: Access, key: &Key) -> bool {
        self.workspace == key.workspace
            && self.reaches(key.environment)
            && match access {
                Access::All => true,
                Access::OwnedBy(owner) => key.owner == Some(owner),
            }
    }

    pub(super) fn may(&self, permission: &str) -> bool {
        self.permissions.iter().any(|own| covers(own, permission))
    }

    /// Returns the keys on which the caller has a right: `read`, `write` or `verify`.
    pub(super) fn access(&self, right: &str) -> Result<Access, Rejection> {
        if self.may(&format!("api_keys:{right}")) {
            return Ok(Access::All);
        }
        let own = self.may(&format!("api_keys.own:{right}"));
        match self.owner.filter(|_| own) {
            Some(owner) => Ok(Access::OwnedBy(owner)),
            None => Err(Rejection::NotPermitted),
        }
    }

    /// Checks that the caller has all of these permissions, which a key has or gets.
    pub(super) fn check_covers(&self, permissions: &BTreeSet<&str>) -> Result<(), Rejection> {
        if permissions.iter().all(|wanted| self.may(wanted)) {
            Ok(())
        } else {
            Err(Rejection::NotPermitted)
        }
    }

    /// Checks that a key that can be used from these addresses can be used only from addresses of
    /// the caller.
    pub(super) fn check_addresses(&self, wanted: Option<&str>) -> Result<(), Rejection> {
        match (self.allowed_ips, wanted) {
            (None, _) => Ok(()),
            (Some(own), Some(wanted)) if addresses::includes(own, wanted) => Ok(()),
            _ => Err(Rejection::AddressesBeyondCaller),
        }
    }
}

/// Splits a comma-separated list of permissions.
pub(super) fn split(list: &'static str) -> BTreeSet<&'static str> {
    list.split(',').filter(|text| !text.is_empty()).collect()
}

/// Whether `granted` equals `wanted` or is a pattern that matches it.
pub(super) fn covers(granted: &str, wanted: &str) -> bool {
    granted == "*"
        || granted == wanted
        || granted.ends_with(":*") && wanted.starts_with(&granted[..granted.len() - 1])
}

/// The earliest of these times.
pub(super) fn earliest<const N: usize>(times: [Option<Millis>; N]) -> Option<Millis> {
    times.into_iter().flatten().min()
}
