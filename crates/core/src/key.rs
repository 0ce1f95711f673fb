//! A key without its secret, and its status.

use std::fmt;

use crate::{
    AllowedIps, Attributes, Environment, KeyId, Metadata, Name, Owner, Permissions, Timestamp,
    Workspace,
};

/// A key without its secret: everything about it that may be shown.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Key {
    /// The public id, which begins with the time of creation.
    pub id: KeyId,
    /// The tenant that the key belongs to. It never changes.
    pub workspace: Workspace,
    /// Live or test. It never changes.
    pub environment: Environment,
    /// The person or service that the key belongs to. It never changes.
    pub owner: Option<Owner>,
    /// The display name.
    pub name: Name,
    /// The permissions of the key.
    pub permissions: Permissions,
    /// The client's notes. Clients write them, so a host must not trust them.
    pub metadata: Option<Metadata>,
    /// The host's own data, which clients can neither read nor change.
    pub attributes: Option<Attributes>,
    /// Whether the key is not paused. A disabled key is rejected until it is enabled again.
    pub enabled: bool,
    /// The addresses from which the key may be used. `None` allows every address.
    pub allowed_ips: Option<AllowedIps>,
    /// The key that created this one, or `None` if an operator or a session did.
    pub parent: Option<KeyId>,
    /// The key that replaced this one in a rotation.
    pub successor: Option<KeyId>,
    /// The key that this one replaced in a rotation. It never changes.
    pub predecessor: Option<KeyId>,
    /// The key that received this key's secret by rotating the predecessor. `None` if this key did
    /// not result from a rotation, or if an operator or a session asked for it. It never changes.
    pub rotated_by: Option<KeyId>,
    /// Whether another system issued the key, and it was [imported](crate::Importer). It never
    /// changes.
    pub imported: bool,
    /// The time from which the key is rejected, or `None` if it never expires.
    pub expires_at: Option<Timestamp>,
    /// When the key was revoked.
    pub revoked_at: Option<Timestamp>,
    /// The latest use that was recorded with [`KeyStore::touch`](crate::store::KeyStore::touch).
    pub last_used_at: Option<Timestamp>,
}

impl Key {
    /// Creates an enabled key without any of the optional fields. To set them, assign the public
    /// fields.
    #[must_use]
    pub fn new(
        id: KeyId,
        workspace: Workspace,
        environment: Environment,
        name: Name,
        permissions: Permissions,
    ) -> Self {
        Self {
            id,
            workspace,
            environment,
            owner: None,
            name,
            permissions,
            metadata: None,
            attributes: None,
            enabled: true,
            allowed_ips: None,
            parent: None,
            successor: None,
            predecessor: None,
            rotated_by: None,
            imported: false,
            expires_at: None,
            revoked_at: None,
            last_used_at: None,
        }
    }

    /// Returns the time of creation, which is part of the id.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.id.created_at()
    }

    /// Whether the key has expired at `now`, whether or not it is revoked.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Whether this key may create `child`, or receive it in a rotation, at `now`.
    ///
    /// This key must be active, in the child's workspace, and expire no earlier than the child. It
    /// must cover the child's permissions and addresses.
    #[must_use]
    pub fn admits(&self, child: &Self, now: Timestamp) -> bool {
        self.workspace == child.workspace
            && self.status(now) == Status::Active
            && self.covers(child)
    }

    /// Whether this key has each permission of another, may be used from each of its addresses, and
    /// expires no earlier.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let missing = self.permissions.first_not_covered(&other.permissions);
        let outlives_other = self
            .expires_at
            .is_none_or(|end| other.expires_at.is_some_and(|other_end| other_end <= end));
        missing.is_none()
            && AllowedIps::includes(self.allowed_ips.as_ref(), other.allowed_ips.as_ref())
            && outlives_other
    }

    /// Returns the status at `now`: revoked, otherwise expired, otherwise disabled, otherwise
    /// active.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> Status {
        if self.revoked_at.is_some() {
            Status::Revoked
        } else if self.is_expired(now) {
            Status::Expired
        } else if !self.enabled {
            Status::Disabled
        } else {
            Status::Active
        }
    }
}

/// The status of a key: accepted, or the reason why it is rejected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the wire contract has exactly these four"
)]
pub enum Status {
    /// The key is accepted.
    Active,
    /// The key is paused. It can be enabled again.
    Disabled,
    /// The key has expired.
    Expired,
    /// The key was revoked, which is permanent.
    Revoked,
}

impl Status {
    /// All statuses.
    pub const ALL: [Self; 4] = [Self::Active, Self::Disabled, Self::Expired, Self::Revoked];

    /// Returns `active`, `disabled`, `expired` or `revoked`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_written_as_in_the_wire_contract() {
        let expected = ["active", "disabled", "expired", "revoked"];
        assert_eq!(Status::ALL.map(|status| status.to_string()), expected);
        assert_eq!(Status::ALL.map(Status::as_str), expected);
    }
}
