//! The event log.

use async_trait::async_trait;
use keywright_core::{
    Environment, Event, EventId, EventOrder, EventPage, ListEvents, Workspace, store::PurgeEvents,
};
use sqlx::{PgConnection, Row as _, postgres::PgRow};

use super::scan::{ABOVE_ALL_IDS, BELOW_ALL_IDS, Order, Scan};
use crate::{
    database::{Access, Operation},
    error::{Error, Result},
    statements::Statements,
    transaction::event_id_text,
};

/// The number of events in a slice of a list.
const LENGTH: u64 = 5_000;

/// The maximum number of events that a purge deletes in its transaction.
const MAX_PURGED: u32 = 1_000;

/// A list of the events of a workspace that a caller sees, read in slices.
#[derive(Debug)]
pub(crate) struct EventListing {
    workspace: Workspace,
    environment: Environment,
    list: ListEvents<EventId>,
    scan: Scan,
    events: Vec<Event>,
}

impl EventListing {
    pub(crate) fn new(
        workspace: &Workspace,
        environment: Environment,
        list: &ListEvents<EventId>,
    ) -> Self {
        let scan = match &list.key {
            Some(key) => Scan::of_key(key),
            None => Scan::of_workspace("events", workspace, environment, list.owner.as_ref()),
        };
        Self {
            workspace: workspace.clone(),
            environment,
            list: list.clone(),
            scan,
            events: Vec::new(),
        }
    }

    async fn slice(
        &self,
        connection: &mut PgConnection,
        statements: &Statements,
        length: u64,
    ) -> Result<Vec<Event>> {
        let Self {
            workspace,
            environment,
            list,
            scan,
            ..
        } = self;
        let last = self.events.last().map(|event| event.id);
        let last = last.or(list.after).map(|id| event_id_text(&id));
        let (order, before) = match (list.order, &last) {
            (EventOrder::NewestFirst, Some(last)) => (Order::Descending, &**last),
            (EventOrder::NewestFirst, None) => (Order::Descending, ABOVE_ALL_IDS),
            (EventOrder::OldestFirst, _) => (Order::Ascending, ABOVE_ALL_IDS),
        };
        let mut query = scan.select(statements, "id, event", BELOW_ALL_IDS, before);
        if let (Order::Ascending, Some(last)) = (order, &last) {
            query.push(" AND ");
            scan.push_bound(&mut query, ">", last);
        }
        if list.key.is_some() {
            // The workspace, the owner and the environment of a key never change. So its first
            // event decides for all of them, and the list of a key that the caller does not see
            // reads no others.
            query
                .push(" AND (SELECT workspace = ")
                .push_bind(workspace.to_string());
            if *environment == Environment::Test {
                query.push(" AND test");
            }
            if let Some(owner) = &list.owner {
                query.push(" AND owner = ").push_bind(owner.to_string());
            }
            scan.push_rows(&mut query, statements, BELOW_ALL_IDS, ABOVE_ALL_IDS);
            scan.push_order(&mut query, Order::Ascending);
            query.push(" LIMIT 1)");
        }
        scan.push_order(&mut query, order);
        query
            .push(" LIMIT ")
            .push_bind(i64::try_from(length).unwrap_or(i64::MAX));
        let rows = query
            .build()
            .persistent(false)
            .fetch_all(connection)
            .await?;
        let is_listed = |event: &Event| list.selects(workspace, *environment, event);
        rows.iter().map(|row| event(row, is_listed)).collect()
    }
}

#[async_trait]
impl Operation for EventListing {
    type Output = EventPage<EventId>;

    fn access(&self) -> Access {
        Access::Read
    }

    /// Reads the next slice. Returns the page after the last one.
    async fn step(
        &mut self,
        connection: &mut PgConnection,
        statements: &Statements,
    ) -> Result<Option<Self::Output>> {
        let page = u64::from(self.list.limit) + 1;
        let length = page.saturating_sub(self.events.len() as u64).min(LENGTH);
        let slice = self.slice(connection, statements, length).await?;
        let is_last = (slice.len() as u64) < length;
        self.events.extend(slice);
        let is_done = is_last || self.events.len() as u64 == page;
        Ok(is_done.then(|| EventPage::cut(std::mem::take(&mut self.events), self.list.limit)))
    }
}

/// Reads an event. It must have the id of its row, and be one that `is_selected` accepts: the other
/// columns, by which it was found, say so.
pub(super) fn event(row: &PgRow, is_selected: impl FnOnce(&Event) -> bool) -> Result<Event> {
    let (id, text): (&str, &str) = (row.try_get("id")?, row.try_get("event")?);
    // The error of `serde_json` is not returned, because it may repeat a part of the text.
    match serde_json::from_str::<Event>(text) {
        Ok(event) if event_id_text(&event.id) == id && is_selected(&event) => Ok(event),
        _ => Err(Error::corrupt(
            "a stored event is the JSON of an event that matches its row",
        )),
    }
}

/// Deletes the oldest events, and returns how many.
pub(crate) async fn purge_events(
    connection: &mut PgConnection,
    statements: &Statements,
    purge: &PurgeEvents,
) -> Result<u64> {
    let scan = match &purge.workspace {
        Some(workspace) => Scan::of_workspace("events", workspace, Environment::Live, None),
        None => Scan::all("events"),
    };
    let before = event_id_text(&EventId::first_at(purge.before));
    let mut query = sqlx::QueryBuilder::new(format!(
        "DELETE FROM {}.events WHERE id = ANY (ARRAY(",
        statements.schema
    ));
    query.push("SELECT id");
    scan.push_rows(&mut query, statements, BELOW_ALL_IDS, &before);
    scan.push_order(&mut query, Order::Ascending);
    query
        .push(" LIMIT ")
        .push_bind(i64::from(purge.limit.min(MAX_PURGED)))
        .push(" FOR UPDATE))");
    let deleted = query.build().persistent(false).execute(connection).await?;
    Ok(deleted.rows_affected())
}
