//! A key as it may be shown, and the record of it that a store keeps.

use std::fmt;

use crate::{
    Environment, KeyId, Metadata, Name, Permissions, Timestamp, Workspace, hash::Credential,
};

/// All of a key that may be shown: everything but its hash.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Key {
    /// The public id, which holds the time of creation.
    pub id: KeyId,
    /// The tenant it belongs to; never changes.
    pub workspace: Workspace,
    /// Live or test; never changes.
    pub environment: Environment,
    /// What people call it.
    pub name: Name,
    /// What it may do; never changes.
    pub permissions: Permissions,
    /// The host's notes.
    pub metadata: Option<Metadata>,
    /// The key that created it, or `None` for a key made by an operator or a session.
    pub parent: Option<KeyId>,
    /// The key that replaces it since a rotation.
    pub successor: Option<KeyId>,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was last used, as far as that was noted with [`KeyStore::touch`](crate::KeyStore::touch).
    pub last_used_at: Option<Timestamp>,
}

impl Key {
    /// An active key without expiry, metadata or parent. The other fields are public.
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
            expires_at: None,
            revoked_at: None,
            last_used_at: None,
        }
    }

    /// When it was created.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.id.created_at()
    }

    /// Whether its time is over at the time `now`, revoked or not.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Whether it may make a key of this workspace and end (`None`: without one) at the time `now`: it is
    /// active, of the same workspace, and ends no earlier.
    #[must_use]
    pub fn admits(&self, workspace: &Workspace, end: Option<Timestamp>, now: Timestamp) -> bool {
        let ends_in_time = self
            .expires_at
            .is_none_or(|last| end.is_some_and(|end| end <= last));
        self.workspace == *workspace && self.status(now) == Status::Active && ends_in_time
    }

    /// Whether it opens anything at the time `now`. Revoked comes before expired.
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

/// Whether a key opens anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the wire contract has these three and no other"
)]
pub enum Status {
    /// It does.
    Active,
    /// Its time is over.
    Expired,
    /// It was withdrawn, for ever.
    Revoked,
}

impl Status {
    /// `active`, `expired` or `revoked`.
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

/// What a store keeps of a key: the key, the hash of its secret, and a version that grows with each
/// change of either. It never holds a token.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Record {
    /// The key.
    pub key: Key,
    /// The hash of its secret.
    pub credential: Credential,
    /// 1 when inserted, and one more with each rename, rehash, rotation and revocation.
    pub version: u64,
}

impl Record {
    /// The record of a new key.
    #[must_use]
    pub fn new(key: Key, credential: Credential) -> Self {
        Self {
            key,
            credential,
            version: 1,
        }
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
