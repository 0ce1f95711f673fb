//! Changing a record of a known version: its name and metadata, or its credential.

use keywright_core::{Credential, Key, KeyId, Metadata, Rename, StoreErrorKind, Workspace};
use rusqlite::{Connection, params};

use super::find_in_workspace;
use crate::{changes, error::Result, record};

const RENAME: &str = "
    UPDATE keys SET name = ?2, metadata = ?3, version = ?4 WHERE id = ?1";

const REHASH: &str = "
    UPDATE keys SET hash = ?2, tag = ?3, version = ?4 WHERE id = ?1";

/// Replaces name and metadata.
pub(crate) fn rename(
    connection: &Connection,
    workspace: &Workspace,
    id: &KeyId,
    version: u64,
    rename: Rename,
) -> Result<Key> {
    let mut record = find_in_workspace(connection, workspace, id)?;
    record.rename(version, rename)?;
    connection.prepare_cached(RENAME)?.execute(params![
        id.as_bytes(),
        record.key.name.as_str(),
        record.key.metadata.as_ref().map(Metadata::as_json),
        record::version(&record)?,
    ])?;
    changes::note(connection, id)?;
    Ok(record.key)
}

/// Replaces hash and tag.
pub(crate) fn rehash(
    connection: &Connection,
    id: &KeyId,
    version: u64,
    credential: Credential,
) -> Result<()> {
    let mut record = record::find(connection, id)?.ok_or(StoreErrorKind::NotFound)?;
    record.rehash(version, credential)?;
    connection.prepare_cached(REHASH)?.execute(params![
        id.as_bytes(),
        record.credential.hash.to_string(),
        record.credential.tag.as_bytes(),
        record::version(&record)?,
    ])?;
    changes::note(connection, id)
}
