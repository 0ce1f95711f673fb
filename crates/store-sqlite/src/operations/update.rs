//! Changing a record of a known version: its name and metadata, or its credential.

use keywright_core::{Credential, Key, KeyId, Metadata, Rename, Workspace};
use rusqlite::{Connection, params};

use super::{find_unchanged, find_unchanged_in};
use crate::{changes, error::Result};

const RENAME: &str = "
    UPDATE keys SET name = ?2, metadata = ?3, version = version + 1 WHERE id = ?1";

const REHASH: &str = "
    UPDATE keys SET hash = ?2, tag = ?3, version = version + 1 WHERE id = ?1";

/// Replaces name and metadata.
pub(crate) fn rename(
    connection: &Connection,
    workspace: &Workspace,
    id: &KeyId,
    version: u64,
    rename: Rename,
) -> Result<Key> {
    let mut key = find_unchanged_in(connection, workspace, id, version)?.key;
    if let Some(name) = rename.name {
        key.name = name;
    }
    if let Some(metadata) = rename.metadata {
        key.metadata = Some(metadata);
    }
    connection.prepare_cached(RENAME)?.execute(params![
        id.as_bytes(),
        key.name.as_str(),
        key.metadata.as_ref().map(Metadata::as_json),
    ])?;
    changes::note(connection, id)?;
    Ok(key)
}

/// Replaces hash and tag.
pub(crate) fn rehash(
    connection: &Connection,
    id: &KeyId,
    version: u64,
    credential: &Credential,
) -> Result<()> {
    find_unchanged(connection, id, version)?;
    connection.prepare_cached(REHASH)?.execute(params![
        id.as_bytes(),
        credential.hash.to_string(),
        credential.tag.as_bytes(),
    ])?;
    changes::note(connection, id)
}
