//! A key in a response.

use keywright_core::{
    AllowedIps, Environment, Key, KeyId, Metadata, Name, Owner, Permissions, Timestamp, Verified,
};
use serde::Serialize;

#[cfg(feature = "openapi")]
use crate::schema;

/// A key as the API returns it, without its secret or hash, and without its
/// [`Attributes`](keywright_core::Attributes), which are the host's.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ApiKey, description = "A key, without its secret or hash."))]
pub struct KeyView<'a> {
    #[cfg_attr(feature = "openapi", schema(value_type = schema::ApiKeyId))]
    id: KeyId,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::ApiKeyName))]
    name: &'a Name,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::ApiKeyTime))]
    created_at: Timestamp,
    /// The time of the last recorded use. A use is recorded with a delay.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::ApiKeyTime>, required = true))]
    last_used_at: Option<Timestamp>,
    is_expired: bool,
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::status))]
    status: &'static str,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::ApiKeyEnvironment))]
    environment: Environment,
    #[cfg_attr(feature = "openapi", schema(value_type = schema::ApiKeyPermissions))]
    permissions: &'a Permissions,
    /// Whether the key is not paused. A paused key is rejected until it is enabled again.
    enabled: bool,
    /// The person or service that the key belongs to. It never changes.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::ApiKeyOwner>, required = true))]
    owner: Option<&'a Owner>,
    /// The time at which the key expires, or `null` if it never does.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::ApiKeyTime>, required = true))]
    expires_at: Option<Timestamp>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::ApiKeyTime>, required = true))]
    revoked_at: Option<Timestamp>,
    /// The addresses from which the key may be used, or `null` if it may be used from any.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::ApiKeyAddresses>, required = true))]
    allowed_ips: Option<&'a AllowedIps>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::ApiKeyMetadata>, required = true))]
    metadata: Option<&'a Metadata>,
    /// The key that created this one.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::ApiKeyId>, required = true))]
    parent_id: Option<KeyId>,
    /// The key that this one replaced in a rotation.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::ApiKeyId>, required = true))]
    predecessor_id: Option<KeyId>,
    /// The key that replaced this one in a rotation.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::ApiKeyId>, required = true))]
    successor_id: Option<KeyId>,
    /// The key that received the secret of this one, by rotating its predecessor.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<schema::ApiKeyId>, required = true))]
    rotated_by_id: Option<KeyId>,
    /// Whether another system issued the key, and it was imported.
    imported: bool,
}

impl<'a> KeyView<'a> {
    /// Returns the view of a key at the time `now`.
    #[must_use]
    pub fn new(key: &'a Key, now: Timestamp) -> Self {
        Self {
            id: key.id,
            name: &key.name,
            created_at: key.created_at(),
            last_used_at: key.last_used_at,
            is_expired: key.is_expired(now),
            status: key.status(now).as_str(),
            environment: key.environment,
            permissions: &key.permissions,
            enabled: key.enabled,
            owner: key.owner.as_ref(),
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            allowed_ips: key.allowed_ips.as_ref(),
            metadata: key.metadata.as_ref(),
            parent_id: key.parent,
            predecessor_id: key.predecessor,
            successor_id: key.successor,
            rotated_by_id: key.rotated_by,
            imported: key.imported,
        }
    }

    /// Returns the view of a verified key at the time `now`. Its last use is this verification.
    #[must_use]
    pub fn verified(verified: &'a Verified, now: Timestamp) -> Self {
        Self {
            last_used_at: verified.last_used_at(),
            ..Self::new(verified.key(), now)
        }
    }
}
