//! A key without its secret, and its status.

use std::fmt;

use crate::{Environment, KeyId, Metadata, Name, Permissions, Timestamp, Workspace};

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
    /// The display name.
    pub name: Name,
    /// The permissions of the key. They never change.
    pub permissions: Permissions,
    /// JSON that the host attached to the key.
    pub metadata: Option<Metadata>,
    /// The key that created this one, or `None` if an operator or a session did.
    pub parent: Option<KeyId>,
    /// The key that replaced this one in a rotation.
    pub successor: Option<KeyId>,
    /// The key that received this key's secret by rotating the predecessor. `None` if this key did
    /// not result from a rotation, or if an operator or a session asked for it. It never changes.
    pub rotated_by: Option<KeyId>,
    /// The time from which the key is rejected, or `None` if it never expires.
    pub expires_at: Option<Timestamp>,
    /// When the key was revoked.
    pub revoked_at: Option<Timestamp>,
    /// The latest use that was recorded with [`KeyStore::touch`](crate::store::KeyStore::touch).
    pub last_used_at: Option<Timestamp>,
}

impl Key {
    /// Returns an active key without expiry, metadata or parent. The other fields are public.
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
            name,
            permissions,
            metadata: None,
            parent: None,
            successor: None,
            rotated_by: None,
            expires_at: None,
            revoked_at: None,
            last_used_at: None,
        }
    }

    /// Returns the time of creation, which the id holds.
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
    /// This key must be active, in the child's workspace, and expire no earlier than the child.
    #[must_use]
    pub fn admits(&self, child: &Self, now: Timestamp) -> bool {
        let outlives_child = self
            .expires_at
            .is_none_or(|end| child.expires_at.is_some_and(|child_end| child_end <= end));
        self.workspace == child.workspace && self.status(now) == Status::Active && outlives_child
    }

    /// Returns the status at `now`. A key that is both revoked and expired counts as revoked.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> Status {
        if self.revoked_at.is_some() {
            Status::Revoked
        } else if self.is_expired(now) {
            Status::Expired
        } else {
            Status::Active
        }
    }
}

/// Whether a key is accepted, and why not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the wire contract has exactly these three"
)]
pub enum Status {
    /// The key is accepted.
    Active,
    /// The key has expired.
    Expired,
    /// The key was revoked, which is permanent.
    Revoked,
}

impl Status {
    /// Returns `active`, `expired` or `revoked`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
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
        let all = [Status::Active, Status::Expired, Status::Revoked];
        assert_eq!(
            all.map(|status| status.to_string()),
            ["active", "expired", "revoked"]
        );
        assert_eq!(all.map(Status::as_str), ["active", "expired", "revoked"]);
    }
}
