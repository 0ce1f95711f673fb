//! Events as rows of the table `events`.

use keywright_core::{Environment, Event};
use rusqlite::{Connection, Row, params};

use crate::record;

const INSERT: &str = "
    INSERT INTO events (id, workspace, environment, owner, key, event)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

/// Appends an event, in the transaction of its change.
pub(crate) fn append(connection: &Connection, event: &Event) -> rusqlite::Result<()> {
    let environment = match event.environment {
        Environment::Live => 0,
        Environment::Test => 1,
    };
    let text = serde_json::to_string(event)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    connection.prepare_cached(INSERT)?.execute(params![
        event.id.as_bytes(),
        event.workspace.as_str(),
        environment,
        event.owner.as_ref().map(keywright_core::Owner::as_str),
        event.key.as_bytes(),
        text,
    ])?;
    Ok(())
}

/// Reads the column `event`.
pub(crate) fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    record::cell(row, 0, |value| Ok(serde_json::from_str(value.as_str()?)?))
}
