//! The event log.

use keywright_core::{
    Environment, EventId, EventOrder, EventPage, ListEvents, Workspace, store::PurgeEvents,
};
use rusqlite::{Connection, params, params_from_iter, types::Value};

use crate::{error::Result, event};

/// A list of the events of a workspace that a caller sees.
#[derive(Debug)]
pub(crate) struct EventListing {
    sql: String,
    parameters: Vec<Value>,
    limit: u32,
}

impl EventListing {
    pub(crate) fn new(
        workspace: &Workspace,
        environment: Environment,
        list: &ListEvents<EventId>,
    ) -> Self {
        let mut conditions = String::from("workspace = ?");
        let mut parameters = vec![Value::Text(workspace.as_str().into())];
        if let Some(key) = &list.key {
            // One key has few events, so the other conditions need no index. The plus sign keeps
            // SQLite from using another one.
            conditions = "+workspace = ? AND key = ?".into();
            parameters.push(Value::Blob(key.as_bytes().into()));
        }
        let unindexed = if list.key.is_some() { "+" } else { "" };
        if environment == Environment::Test {
            conditions.push_str(" AND ");
            conditions.push_str(unindexed);
            conditions.push_str("environment = 1");
        }
        if let Some(owner) = &list.owner {
            conditions.push_str(" AND ");
            conditions.push_str(unindexed);
            conditions.push_str("owner = ?");
            parameters.push(Value::Text(owner.as_str().into()));
        }
        let (after, direction) = match list.order {
            EventOrder::NewestFirst => (" AND id < ?", "DESC"),
            EventOrder::OldestFirst => (" AND id > ?", "ASC"),
        };
        if let Some(last) = &list.after {
            conditions.push_str(after);
            parameters.push(Value::Blob(last.as_bytes().into()));
        }
        parameters.push(Value::Integer(i64::from(list.limit) + 1));
        Self {
            sql: format!(
                "SELECT event FROM events WHERE {conditions} ORDER BY id {direction} LIMIT ?"
            ),
            parameters,
            limit: list.limit,
        }
    }

    /// Reads the page.
    pub(crate) fn read(&self, connection: &Connection) -> Result<EventPage<EventId>> {
        let events = connection
            .prepare_cached(&self.sql)?
            .query_map(params_from_iter(&self.parameters), event::event)?
            .collect::<rusqlite::Result<_>>()?;
        Ok(EventPage::cut(events, self.limit))
    }
}

const PURGE: &str = "
    DELETE FROM events WHERE id IN (
        SELECT id FROM events WHERE id < ?1 ORDER BY id LIMIT ?2)";

const PURGE_IN_WORKSPACE: &str = "
    DELETE FROM events WHERE id IN (
        SELECT id FROM events WHERE id < ?1 AND workspace = ?3 ORDER BY id LIMIT ?2)";

/// Deletes events, and returns how many.
pub(crate) fn purge_events(connection: &Connection, purge: &PurgeEvents) -> Result<u64> {
    let before = EventId::first_at(purge.before);
    let deleted = match &purge.workspace {
        None => connection
            .prepare_cached(PURGE)?
            .execute(params![before.as_bytes(), purge.limit])?,
        Some(workspace) => connection
            .prepare_cached(PURGE_IN_WORKSPACE)?
            .execute(params![before.as_bytes(), purge.limit, workspace.as_str()])?,
    };
    Ok(deleted as u64)
}
