//! Conditional updates: of the name and the metadata, and of the credential.

use keywright_core::{
    Key, KeyId, Metadata, Rename, Workspace,
    store::{Credential, StoreErrorKind},
};
use rusqlite::{Connection, params};

use super::find::find_in_workspace;
use crate::{changes, error::Result, record, savepoint::atomic};

const RENAME: &str = "
    UPDATE keys SET name = ?2, metadata = ?3, version = ?4 WHERE id = ?1";

const REHASH: &str = "
    UPDATE keys SET hash = ?2, tag = ?3, version = ?4 WHERE id = ?1";

/// Replaces the name and the metadata, and returns the updated key.
pub(crate) fn rename(
    connection: &Connection,
    workspace: &Workspace,
    id: &KeyId,
    version: u64,
    rename: Rename,
) -> Result<Key> {
    let mut record = find_in_workspace(connection, workspace, id)?;
    record.rename(version, rename)?;
    let version = record::version(&record)?;
    atomic(connection, || {
        connection.prepare_cached(RENAME)?.execute(params![
            id.as_bytes(),
            record.key.name.as_str(),
            record.key.metadata.as_ref().map(Metadata::as_json),
            version,
        ])?;
        changes::append(connection, id)
    })?;
    Ok(record.key)
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
