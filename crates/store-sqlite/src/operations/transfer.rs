//! Copying all keys to or from another store.

use keywright_core::{
    KeyId, Timestamp, Workspace,
    store::{Import, Reservation, Stage, StoreErrorKind, TransferId},
};
use rusqlite::{Connection, OptionalExtension, params, types::Type};

use super::{is_empty, prefix::claim};
use crate::{
    changes,
    error::{Error, Result},
    event::NewEvent,
    record::{self, NewRow},
    savepoint::atomic,
    schema,
};

/// The number of workspaces in a page.
const WORKSPACES: usize = 256;

const ID: &str = "SELECT value FROM keywright_settings WHERE name = 'id'";

const SET_ID: &str = "
    INSERT INTO keywright_settings (name, value) VALUES ('id', ?1) ON CONFLICT (name) DO NOTHING";

const SET_CLAIM: &str = "REPLACE INTO keywright_settings (name, value) VALUES ('prefix', ?1)";

const DELETE_CLAIM: &str = "DELETE FROM keywright_settings WHERE name = 'prefix'";

const FIRST_WORKSPACE: &str = "
    SELECT min(workspace) FROM (
        SELECT min(workspace) AS workspace FROM keywright_keys
        UNION ALL SELECT min(workspace) FROM keywright_events)";

const NEXT_WORKSPACE: &str = "
    SELECT min(workspace) FROM (
        SELECT min(workspace) AS workspace FROM keywright_keys WHERE workspace > ?1
        UNION ALL SELECT min(workspace) FROM keywright_events WHERE workspace > ?1)";

const KEY_IN_WORKSPACE: &str = "SELECT id FROM keywright_keys WHERE workspace = ?1 LIMIT 1";

const RESERVATIONS: &str = "
    SELECT key, fingerprint, id, until FROM keywright_reservations
    WHERE key > ?1 ORDER BY key LIMIT ?2";

const REPLACE_RESERVATION: &str = "
    REPLACE INTO keywright_reservations (key, fingerprint, id, until) VALUES (?1, ?2, ?3, ?4)";

/// Returns the id of the store, if it has one.
pub(crate) fn id(connection: &Connection) -> Result<Option<TransferId>> {
    let id: Option<String> = connection
        .prepare_cached(ID)?
        .query_one((), |row| row.get(0))
        .optional()?;
    id.map(|text| TransferId::parse(&text).ok_or(StoreErrorKind::Corrupt.into()))
        .transpose()
}

/// Gives the store an id, unless it has one, and returns its id.
pub(crate) fn set_id(connection: &Connection, candidate: &TransferId) -> Result<TransferId> {
    connection
        .prepare_cached(SET_ID)?
        .execute([candidate.as_str()])?;
    id(connection)?.ok_or(StoreErrorKind::Corrupt.into())
}

/// Returns the stage of the store.
pub(crate) fn stage(connection: &Connection) -> Result<Stage> {
    let is_sealed = schema::version(connection)? < 0;
    let claim = claim(connection)?;
    Stage::parse(claim.as_deref(), is_sealed).ok_or(StoreErrorKind::Corrupt.into())
}

/// Moves the store from one stage to another.
pub(crate) fn set_stage(connection: &Connection, from: &Stage, to: &Stage) -> Result<()> {
    let has_keys = *from == Stage::Unclaimed && !is_empty(connection)?;
    if stage(connection)? != *from || has_keys {
        return Err(StoreErrorKind::Conflict.into());
    }
    atomic(connection, || {
        match to.claim() {
            Some(claim) => connection.execute(SET_CLAIM, [claim])?,
            None => connection.execute(DELETE_CLAIM, ())?,
        };
        Ok(schema::set_sealed(connection, to.is_sealed())?)
    })
}

/// Returns the first workspaces after one.
pub(crate) fn workspaces(
    connection: &Connection,
    after: Option<&Workspace>,
) -> Result<Vec<Workspace>> {
    let mut last = after.cloned();
    let mut workspaces = Vec::new();
    while workspaces.len() < WORKSPACES {
        let next: Option<String> = match &last {
            None => connection
                .prepare_cached(FIRST_WORKSPACE)?
                .query_one((), |row| row.get(0))?,
            Some(last) => connection
                .prepare_cached(NEXT_WORKSPACE)?
                .query_one([last.as_str()], |row| row.get(0))?,
        };
        let Some(next) = next else {
            break;
        };
        let workspace = match Workspace::parse(&next) {
            Ok(workspace) => workspace,
            Err(error) => return Err(damaged_workspace(connection, &next, error.into())),
        };
        last = Some(workspace.clone());
        workspaces.push(workspace);
    }
    Ok(workspaces)
}

/// The error of a key, or of an event, whose workspace is none.
fn damaged_workspace(
    connection: &Connection,
    workspace: &str,
    error: Box<dyn std::error::Error + Send + Sync>,
) -> Error {
    let key = connection
        .prepare_cached(KEY_IN_WORKSPACE)
        .and_then(|mut select| {
            select
                .query_row([workspace], |row| record::cell(row, 0, record::id))
                .optional()
        });
    let source = rusqlite::Error::FromSqlConversionFailure(0, Type::Text, error);
    match key {
        Ok(Some(id)) => Error::Row {
            id: id.to_string(),
            source,
        },
        Ok(None) => Error::Sqlite(source),
        Err(error) => Error::Sqlite(error),
    }
}

/// Returns up to `limit` reservations after a key, in the order of their keys.
pub(crate) fn reservations(
    connection: &Connection,
    after: Option<&[u8; 32]>,
    limit: u32,
) -> Result<Vec<Reservation>> {
    let after = after.map_or(&[][..], |key| key);
    let reservations = connection
        .prepare_cached(RESERVATIONS)?
        .query_map(params![after, limit], |row| {
            let until = record::cell(row, 3, |value| Ok(Timestamp::from_millis(value.as_i64()?)?))?;
            Ok(Reservation::new(
                row.get(0)?,
                row.get(1)?,
                record::cell(row, 2, record::id)?,
                until,
            ))
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(reservations)
}

/// An import with its columns encoded.
pub(crate) struct NewImport {
    receiving: Stage,
    import: Import,
    rows: Vec<NewRow>,
    events: Vec<NewEvent>,
}

impl NewImport {
    pub(crate) fn new(receiving: &Stage, import: &Import) -> Result<Self> {
        Ok(Self {
            receiving: receiving.clone(),
            rows: import
                .records
                .iter()
                .map(NewRow::new)
                .collect::<rusqlite::Result<_>>()?,
            events: import
                .events
                .iter()
                .map(NewEvent::new)
                .collect::<Result<_>>()?,
            import: import.clone(),
        })
    }

    /// Writes the import into a store that is in the stage in which it receives it.
    pub(crate) fn write(&self, connection: &Connection) -> Result<()> {
        if stage(connection)? != self.receiving {
            return Err(StoreErrorKind::Conflict.into());
        }
        atomic(connection, || {
            for (record, row) in self.import.records.iter().zip(&self.rows) {
                if let Some(present) = record::find(connection, &record.key.id)? {
                    Import::check_replacement(&present, record)?;
                    changes::append(connection, &record.key.id)?;
                }
                // The source has purged the key that has the alias here. The row replaces it.
                if let Some(alias) = &record.alias
                    && let Some(purged) = record::find_by_alias(connection, alias)?
                    && purged.key.id != record.key.id
                {
                    changes::append(connection, &purged.key.id)?;
                }
                row.replace(connection)?;
            }
            self.delete(connection)?;
            for event in &self.events {
                event.replace(connection)?;
            }
            for reservation in &self.import.reservations {
                let id: &KeyId = &reservation.id;
                connection
                    .prepare_cached(REPLACE_RESERVATION)?
                    .execute(params![
                        reservation.key,
                        reservation.fingerprint,
                        id.as_bytes(),
                        reservation.until.as_millis(),
                    ])?;
            }
            Ok(())
        })
    }

    fn delete(&self, connection: &Connection) -> Result<()> {
        for record in &self.import.purged_records {
            connection
                .prepare_cached("DELETE FROM keywright_keys WHERE id = ?1")?
                .execute([record.key.id.as_bytes()])?;
            changes::append(connection, &record.key.id)?;
        }
        for event in &self.import.purged_events {
            connection
                .prepare_cached("DELETE FROM keywright_events WHERE id = ?1")?
                .execute([event.id.as_bytes()])?;
        }
        Ok(())
    }
}
