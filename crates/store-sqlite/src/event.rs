//! Events as rows of the table `keywright_events`.

use keywright_core::{Event, EventId, Owner, Workspace};
use rusqlite::{Connection, Row, params};

use crate::{
    error::{Error, Result},
    record,
};

const REPLACE: &str = "
    REPLACE INTO keywright_events (id, workspace, environment, owner, key, event)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

const PAGE: &str = "
    SELECT id, event FROM keywright_events INDEXED BY keywright_events_workspace
    WHERE workspace = ?1 AND id > ?2 ORDER BY id LIMIT ?3";

const INSERT: &str = "
    INSERT INTO keywright_events (id, workspace, environment, owner, key, event)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

/// A new event with its JSON. Writing the JSON on the caller's thread saves time on the writer's.
pub(crate) struct NewEvent {
    event: Event,
    json: String,
}

impl NewEvent {
    pub(crate) fn new(event: &Event) -> Result<Self> {
        Ok(Self {
            event: event.clone(),
            json: serde_json::to_string(event)?,
        })
    }

    /// Appends the event, in the transaction of its change.
    pub(crate) fn append(&self, connection: &Connection) -> Result<()> {
        self.write(connection, INSERT)
    }

    /// Inserts the event, or replaces the one with the same id.
    pub(crate) fn replace(&self, connection: &Connection) -> Result<()> {
        self.write(connection, REPLACE)
    }

    fn write(&self, connection: &Connection, sql: &str) -> Result<()> {
        let event = &self.event;
        connection.prepare_cached(sql)?.execute(params![
            event.id.as_bytes(),
            event.workspace.as_str(),
            record::environment_number(event.environment),
            event.owner.as_ref().map(Owner::as_str),
            event.key.as_bytes(),
            self.json,
        ])?;
        Ok(())
    }
}

/// Returns up to `limit` events of a workspace after an id, in the order of their ids.
///
/// # Errors
///
/// The error of a row names its id.
pub(crate) fn page(
    connection: &Connection,
    workspace: &Workspace,
    after: Option<&EventId>,
    limit: u32,
) -> Result<Vec<Event>> {
    let after = after.map_or(&[][..], |id| id.as_bytes());
    let mut select = connection.prepare_cached(PAGE)?;
    let mut rows = select.query(params![workspace.as_str(), after, limit])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        let id = record::cell(row, 0, |value| Ok(EventId::from_bytes(value.as_blob()?)?))?;
        let event = event(row, |event| event.workspace == *workspace);
        events.push(event.map_err(|source| Error::Row {
            id: id.to_string(),
            source,
        })?);
    }
    Ok(events)
}

/// Reads the columns `id` and `event`. The event must have the id of its row, and be one that
/// `is_selected` accepts: the other columns, by which it was found, say so.
pub(crate) fn event(
    row: &Row<'_>,
    is_selected: impl FnOnce(&Event) -> bool,
) -> rusqlite::Result<Event> {
    let id = record::cell(row, 0, |value| Ok(EventId::from_bytes(value.as_blob()?)?))?;
    record::cell(row, 1, |value| {
        // The error of `serde_json` is not returned, because it may repeat a part of the text.
        match serde_json::from_str::<Event>(value.as_str()?) {
            Ok(event) if event.id == id && is_selected(&event) => Ok(event),
            _ => Err("a stored event is the JSON of an event that matches its row".into()),
        }
    })
}
