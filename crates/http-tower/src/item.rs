//! A key as the API shows it.

use keywright_core::{Environment, Key, KeyId, Metadata, Name, Permissions, Timestamp};
use serde::Serialize;

/// A key as the API shows it, ready to be serialised: neither secret nor hash.
#[derive(Debug, Serialize)]
pub struct Item<'a> {
    id: KeyId,
    name: &'a Name,
    created_at: Timestamp,
    last_used_at: Option<Timestamp>,
    is_expired: bool,
    environment: Environment,
    permissions: &'a Permissions,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    metadata: Option<&'a Metadata>,
    parent_id: Option<KeyId>,
    successor_id: Option<KeyId>,
}

impl<'a> Item<'a> {
    /// How a key looks at the time `now`.
    #[must_use]
    pub fn new(key: &'a Key, now: Timestamp) -> Self {
        Self {
            id: key.id,
            name: &key.name,
            created_at: key.created_at(),
            last_used_at: key.last_used_at,
            is_expired: key.is_expired(now),
            environment: key.environment,
            permissions: &key.permissions,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            metadata: key.metadata.as_ref(),
            parent_id: key.parent,
            successor_id: key.successor,
        }
    }
}
