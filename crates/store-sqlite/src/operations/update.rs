//! Conditional updates: of the settings, and of the credential.

use keywright_core::{
    AllowedIps, Attributes, KeyId, Metadata, Timestamp, VersionedKey, Workspace,
    store::{Credential, Settings, StoreErrorKind},
};
use rusqlite::{Connection, params};

use super::find::find_in_workspace;
use crate::{changes, error::Result, event::NewEvent, record, savepoint::atomic};

const UPDATE: &str = "
    UPDATE keywright_keys
    SET name = ?2, permissions = ?3, metadata = ?4, attributes = ?5, enabled = ?6, expires_at = ?7,
        allowed_ips = ?8, version = ?9
    WHERE id = ?1";

const REHASH: &str = "
    UPDATE keywright_keys SET hash = ?2, tag = ?3, version = ?4 WHERE id = ?1";

/// Replaces the settings of a key, appends the event, and returns the updated key.
pub(crate) fn update(
    connection: &Connection,
    workspace: &Workspace,
    id: &KeyId,
    version: u64,
    settings: Settings,
    event: Option<&NewEvent>,
) -> Result<VersionedKey> {
    let mut record = find_in_workspace(connection, workspace, id)?;
    record.update(version, settings)?;
    let key = &record.key;
    let version = record::version(&record)?;
    atomic(connection, || {
        connection.prepare_cached(UPDATE)?.execute(params![
            id.as_bytes(),
            key.name.as_str(),
            key.permissions.to_string(),
            key.metadata.as_ref().map(Metadata::as_json),
            key.attributes.as_ref().map(Attributes::as_json),
            key.enabled,
            key.expires_at.map(Timestamp::as_millis),
            key.allowed_ips.as_ref().map(AllowedIps::to_string),
            version,
        ])?;
        if let Some(event) = event {
            event.append(connection)?;
        }
        changes::append(connection, id)
    })?;
    Ok(VersionedKey::new(record.key, record.version))
}

/// Replaces the hash and the tag.
pub(crate) fn rehash(
    connection: &Connection,
    id: &KeyId,
    version: u64,
    credential: Credential,
) -> Result<()> {
    let mut record = record::find(connection, id)?.ok_or(StoreErrorKind::NotFound)?;
    record.rehash(version, credential)?;
    let version = record::version(&record)?;
    atomic(connection, || {
        connection.prepare_cached(REHASH)?.execute(params![
            id.as_bytes(),
            record.credential.hash.to_string(),
            record.credential.tag.as_bytes(),
            version,
        ])?;
        changes::append(connection, id)
    })
}
