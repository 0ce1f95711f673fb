//! Revoking a key, alone or with its descendants.

use keywright_core::{
    Event, KeyId, Reach, Revocation, Timestamp, Workspace, store::StoreErrorKind,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{changes, error::Result, event::NewEvent, record, savepoint::atomic};

const IS_NOT_REVOKED: &str = "
    SELECT revoked_at IS NULL FROM keywright_keys WHERE id = ?1 AND workspace = ?2";

const REVOKE: &str = "
    UPDATE keywright_keys SET revoked_at = ?2, version = version + 1
    WHERE id = ?1 AND revoked_at IS NULL
    RETURNING id";

/// The walk continues below keys that are already revoked: their descendants may be active.
const REVOKE_FAMILY: &str = "
    WITH RECURSIVE family (id) AS (
        VALUES (?1)
        UNION
        SELECT child.id FROM family JOIN keywright_keys AS child ON child.parent = family.id
        UNION
        SELECT received.id FROM family
        JOIN keywright_keys AS received ON received.rotated_by = family.id
        UNION
        SELECT rotated.successor FROM family
        JOIN keywright_keys AS rotated ON rotated.id = family.id
        WHERE rotated.successor IS NOT NULL
    )
    UPDATE keywright_keys SET revoked_at = ?2, version = version + 1
    WHERE id IN (SELECT id FROM family) AND revoked_at IS NULL
    RETURNING id";

/// Revokes the key, and its descendants if `reach` says so. Appends the event with the number of
/// revoked keys.
///
/// It reads only the columns that it needs, so that it can revoke even a key whose row is damaged.
pub(crate) fn revoke(
    connection: &Connection,
    workspace: &Workspace,
    id: &KeyId,
    reach: Reach,
    now: Timestamp,
    event: Option<&Event>,
) -> Result<Revocation> {
    let first = connection
        .prepare_cached(IS_NOT_REVOKED)?
        .query_one(params![id.as_bytes(), workspace.as_str()], |row| row.get(0))
        .optional()?
        .ok_or(StoreErrorKind::NotFound)?;
    let sql = match reach {
        Reach::Key => REVOKE,
        Reach::Descendants => REVOKE_FAMILY,
    };
    atomic(connection, || {
        let revoked = connection
            .prepare_cached(sql)?
            .query_map(params![id.as_bytes(), now.as_millis()], |row| {
                record::cell(row, 0, record::id)
            })?
            .collect::<rusqlite::Result<Vec<KeyId>>>()?;
        for id in &revoked {
            changes::append(connection, id)?;
        }
        let count = revoked.len() as u64;
        if let Some(event) = event.filter(|_| count > 0) {
            NewEvent::new(&event.clone().with_count(count))?.append(connection)?;
        }
        Ok(Revocation::new(first, count))
    })
}
