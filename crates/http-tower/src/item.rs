//! A key as the API shows it.

use keywright_core::{Environment, Key, KeyId, Metadata, Name, Permissions, Timestamp, Verified};
use serde::Serialize;

#[cfg(feature = "openapi")]
use crate::openapi;

/// A key as the API shows it, ready to be serialised: neither secret nor hash.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ApiKey, description = "A key: neither secret nor hash."))]
pub struct Item<'a> {
    #[cfg_attr(feature = "openapi", schema(value_type = openapi::ApiKeyId))]
    id: KeyId,
    #[cfg_attr(feature = "openapi", schema(value_type = openapi::ApiKeyName))]
    name: &'a Name,
    #[cfg_attr(feature = "openapi", schema(value_type = openapi::ApiKeyTime))]
    created_at: Timestamp,
    /// When it was used last, as far as that has been noted.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<openapi::ApiKeyTime>, required = true))]
    last_used_at: Option<Timestamp>,
    is_expired: bool,
    #[cfg_attr(feature = "openapi", schema(value_type = openapi::ApiKeyEnvironment))]
    environment: Environment,
    #[cfg_attr(feature = "openapi", schema(value_type = openapi::ApiKeyPermissions))]
    permissions: &'a Permissions,
    /// When it ends; `null` for never.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<openapi::ApiKeyTime>, required = true))]
    expires_at: Option<Timestamp>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<openapi::ApiKeyTime>, required = true))]
    revoked_at: Option<Timestamp>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<openapi::ApiKeyMetadata>, required = true))]
    metadata: Option<&'a Metadata>,
    /// The key that created it.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<openapi::ApiKeyId>, required = true))]
    parent_id: Option<KeyId>,
    /// The key that it was rotated into.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<openapi::ApiKeyId>, required = true))]
    successor_id: Option<KeyId>,
}

impl<'a> Item<'a> {
    /// How the key of a verified token looks at the time `now`, this very use included.
    #[must_use]
    pub fn verified(verified: &'a Verified, now: Timestamp) -> Self {
        Self {
            last_used_at: verified.last_used_at(),
            ..Self::new(verified.key(), now)
        }
    }

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
