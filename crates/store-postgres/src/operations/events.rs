//! The event log.

use keywright_core::{
    Environment, Event, EventId, EventOrder, EventPage, ListEvents, Owner, Workspace,
    store::PurgeEvents,
};
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _};

use crate::{
    error::{Error, Result},
    record::id_text,
    statements::Statements,
    transaction::event_id_text,
};

/// A list of the events of a workspace that a caller sees.
#[derive(Clone, Debug)]
pub(crate) struct EventListing {
    pub(crate) workspace: Workspace,
    pub(crate) environment: Environment,
    pub(crate) list: ListEvents<EventId>,
}

impl EventListing {
    /// Reads the page.
    pub(crate) async fn read(
        &self,
        connection: &mut PgConnection,
        statements: &Statements,
    ) -> Result<EventPage<EventId>> {
        let Self {
            workspace,
            environment,
            list,
        } = self;
        let mut query: QueryBuilder<Postgres> =
            QueryBuilder::new(format!("SELECT event FROM {}.events", statements.schema));
        query
            .push(" WHERE workspace = ")
            .push_bind(workspace.to_string());
        if *environment == Environment::Test {
            query.push(" AND test");
        }
        if let Some(key) = &list.key {
            query.push(" AND key = ").push_bind(id_text(key));
        }
        if let Some(owner) = &list.owner {
            query
                .push(" AND owner = ")
                .push_bind(Owner::to_string(owner));
        }
        let (after, direction) = match list.order {
            EventOrder::NewestFirst => (" AND id < ", " DESC"),
            EventOrder::OldestFirst => (" AND id > ", " ASC"),
        };
        if let Some(last) = &list.after {
            query.push(after).push_bind(event_id_text(last));
        }
        query
            .push(" ORDER BY id")
            .push(direction)
            .push(" LIMIT ")
            .push_bind(i64::from(list.limit) + 1);
        let rows = query
            .build()
            .persistent(false)
            .fetch_all(connection)
            .await?;
        let events = rows
            .iter()
            .map(|row| {
                let text: &str = row.try_get("event")?;
                serde_json::from_str(text).map_err(Error::corrupt)
            })
            .collect::<Result<Vec<Event>>>()?;
        Ok(EventPage::cut(events, list.limit))
    }
}

/// Deletes events, and returns how many.
pub(crate) async fn purge_events(
    connection: &mut PgConnection,
    statements: &Statements,
    purge: &PurgeEvents,
) -> Result<u64> {
    let events = format!("{}.events", statements.schema);
    let mut query: QueryBuilder<Postgres> = QueryBuilder::new(format!(
        "DELETE FROM {events} WHERE id IN (SELECT id FROM {events} WHERE id < "
    ));
    query.push_bind(event_id_text(&EventId::first_at(purge.before)));
    if let Some(workspace) = &purge.workspace {
        query
            .push(" AND workspace = ")
            .push_bind(workspace.to_string());
    }
    query
        .push(" ORDER BY id LIMIT ")
        .push_bind(i64::from(purge.limit))
        .push(" FOR UPDATE)");
    let deleted = query.build().persistent(false).execute(connection).await?;
    Ok(deleted.rows_affected())
}
