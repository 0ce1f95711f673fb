//! Events as rows of the table `keywright_events`.

use keywright_core::{Event, EventId, Owner};
use rusqlite::{Connection, Row, params};

use crate::{error::Result, record};

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
        let event = &self.event;
        connection.prepare_cached(INSERT)?.execute(params![
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
