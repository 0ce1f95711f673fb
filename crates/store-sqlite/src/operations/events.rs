//! Listing and purging events.

use keywright_core::{
    Environment, Event, EventId, EventOrder, EventPage, ListEvents, Workspace, store::PurgeEvents,
};
use rusqlite::{Connection, params, params_from_iter, types::Value};

use super::slice;
use crate::{error::Result, event};

const PURGE: &str = "
    DELETE FROM keywright_events WHERE id IN (
        SELECT id FROM keywright_events WHERE id < ?1 ORDER BY id LIMIT ?2)";

const PURGE_IN_WORKSPACE: &str = "
    DELETE FROM keywright_events WHERE id IN (
        SELECT id FROM keywright_events INDEXED BY keywright_events_workspace
        WHERE workspace = ?3 AND id < ?1 ORDER BY id LIMIT ?2)";

/// A list of the events of a workspace, read in slices.
#[derive(Debug)]
pub(crate) struct EventListing {
    workspace: Workspace,
    environment: Environment,
    list: ListEvents<EventId>,
    query: Query,
    /// The maximum number of events in a slice.
    slice_length: usize,
    events: Vec<Event>,
}

impl EventListing {
    pub(crate) fn new(
        workspace: &Workspace,
        environment: Environment,
        list: &ListEvents<EventId>,
    ) -> Self {
        Self {
            workspace: workspace.clone(),
            environment,
            list: list.clone(),
            query: Query::new(workspace, environment, list),
            slice_length: slice::LENGTH as usize,
            events: Vec::new(),
        }
    }

    /// Reads the next slice. Returns the page after the last one.
    pub(crate) fn read_slice(
        &mut self,
        connection: &Connection,
    ) -> Result<Option<EventPage<EventId>>> {
        let page = usize::try_from(self.list.limit)
            .unwrap_or(usize::MAX)
            .saturating_add(1);
        let length = (page - self.events.len()).min(self.slice_length);
        let last = self.events.last().map(|event| event.id);
        let slice = self.slice(connection, last.or(self.list.after), length)?;
        let is_last = slice.len() < length;
        self.events.extend(slice);
        Ok((is_last || self.events.len() == page)
            .then(|| EventPage::cut(std::mem::take(&mut self.events), self.list.limit)))
    }

    fn slice(
        &self,
        connection: &Connection,
        after: Option<EventId>,
        length: usize,
    ) -> Result<Vec<Event>> {
        let Self {
            workspace,
            environment,
            list,
            ..
        } = self;
        let is_listed = |event: &Event| list.selects(workspace, *environment, event);
        Ok(connection
            .prepare_cached(&self.query.sql)?
            .query_map(
                params_from_iter(self.query.parameters(after, length)),
                |row| event::event(row, is_listed),
            )?
            .collect::<rusqlite::Result<_>>()?)
    }
}

/// The statement of a listing.
#[derive(Debug)]
struct Query {
    sql: String,
    /// The parameters of the filter.
    filter: Vec<Value>,
    /// Comes before every id in the order of the list.
    start: &'static [u8],
}

impl Query {
    /// Builds a statement that reads only the events of the page. Each filter has an index, which
    /// the statement names, so that SQLite never sorts or scans instead.
    fn new(workspace: &Workspace, environment: Environment, list: &ListEvents<EventId>) -> Self {
        let mut filter = Vec::from_iter(list.key.map(|key| Value::Blob(key.as_bytes().into())));
        let mut conditions = String::from("workspace = ?");
        filter.push(Value::Text(workspace.as_str().into()));
        if let Some(owner) = &list.owner {
            conditions.push_str(" AND owner = ?");
            filter.push(Value::Text(owner.as_str().into()));
        }
        if environment == Environment::Test {
            conditions.push_str(" AND environment = 1");
        }
        let index = match (list.key, &list.owner, environment) {
            (Some(_), _, _) => "keywright_events_key",
            (None, Some(_), Environment::Test) => "keywright_events_owner_test",
            (None, Some(_), _) => "keywright_events_owner",
            (None, None, Environment::Test) => "keywright_events_test",
            (None, None, _) => "keywright_events_workspace",
        };
        if list.key.is_some() {
            // The workspace, the owner and the environment of a key never change. So its first
            // event decides for all of them, and the list of a key that the caller does not see
            // reads no others.
            conditions = format!(
                "key = (SELECT key FROM (
                    SELECT key, workspace, owner, environment
                    FROM keywright_events INDEXED BY keywright_events_key
                    WHERE key = ? ORDER BY id LIMIT 1) WHERE {conditions})"
            );
        }
        let (start, comparison, direction): (&[u8], _, _) = match list.order {
            EventOrder::NewestFirst => (slice::ABOVE_ALL_IDS, "<", "DESC"),
            EventOrder::OldestFirst => (&[], ">", "ASC"),
        };
        Self {
            sql: format!(
                "SELECT id, event FROM keywright_events INDEXED BY {index} \
                 WHERE {conditions} \
                 AND id {comparison} ? ORDER BY id {direction} LIMIT ?"
            ),
            filter,
            start,
        }
    }

    fn parameters(&self, after: Option<EventId>, limit: usize) -> Vec<Value> {
        let after = after.map_or_else(|| self.start.into(), |id| id.as_bytes().into());
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut parameters = self.filter.clone();
        parameters.extend([Value::Blob(after), Value::Integer(limit)]);
        parameters
    }
}

/// Deletes the oldest of the events that the purge covers, up to its limit, and returns how many.
/// Other writes wait in the meantime, so it deletes no more than a step at once.
pub(crate) fn purge_events(connection: &Connection, purge: &PurgeEvents) -> Result<u64> {
    let before = EventId::first_at(purge.before);
    let limit = purge.limit.min(PurgeEvents::STEP);
    let deleted = match &purge.workspace {
        None => connection
            .prepare_cached(PURGE)?
            .execute(params![before.as_bytes(), limit])?,
        Some(workspace) => connection
            .prepare_cached(PURGE_IN_WORKSPACE)?
            .execute(params![before.as_bytes(), limit, workspace.as_str()])?,
    };
    Ok(deleted as u64)
}

#[cfg(test)]
mod tests {
    use keywright_core::{EventKind, Owner};
    use rusqlite::StatementStatus;

    use super::*;
    use crate::{connection, event::NewEvent, file, query_plan::plan, sample, schema};

    /// The workspace, the environment and the owner of each key of the log.
    const KEYS: [(&str, Environment, Option<&str>); 6] = [
        ("default", Environment::Live, None),
        ("default", Environment::Live, Some("user:1")),
        ("default", Environment::Test, Some("user:1")),
        ("default", Environment::Test, None),
        ("default", Environment::Live, Some("user:2")),
        ("other", Environment::Live, Some("user:1")),
    ];

    fn empty_log() -> (Connection, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.db");
        file::create_if_missing(&path).unwrap();
        let connection = connection::open(&path).unwrap();
        connection::configure(&connection).unwrap();
        schema::migrate(&connection, 0).unwrap();
        (connection, folder)
    }

    /// Appends events of all keys and returns them, from the oldest to the newest.
    fn fill(connection: &Connection, count: u32) -> Vec<Event> {
        let keys: Vec<_> = (0..)
            .zip(KEYS)
            .map(|(number, (workspace, environment, owner))| {
                let mut key = sample::record(number).key;
                key.workspace = Workspace::parse(workspace).unwrap();
                key.environment = environment;
                key.owner = owner.map(|owner| Owner::parse(owner).unwrap());
                key
            })
            .collect();
        let events: Vec<_> = (0..count)
            .zip(keys.iter().cycle())
            .map(|(number, key)| sample::event(number, EventKind::Updated, key))
            .collect();
        let transaction = connection.unchecked_transaction().unwrap();
        for event in &events {
            NewEvent::new(event).unwrap().append(connection).unwrap();
        }
        transaction.commit().unwrap();
        events
    }

    /// Returns the lists with every combination of filters and in both orders, also of keys and
    /// owners that have no events.
    fn lists() -> Vec<(Environment, ListEvents<EventId>)> {
        let mut lists = Vec::new();
        for environment in [Environment::Live, Environment::Test] {
            for key in [None, Some(0), Some(1), Some(2), Some(5), Some(6)] {
                for owner in [None, Some("user:1"), Some("user:3")] {
                    for order in [EventOrder::NewestFirst, EventOrder::OldestFirst] {
                        let mut list = ListEvents::new().with_order(order);
                        list.key = key.map(sample::id);
                        list.owner = owner.map(|owner| Owner::parse(owner).unwrap());
                        lists.push((environment, list));
                    }
                }
            }
        }
        lists
    }

    #[test]
    fn every_list_is_read_from_an_index_without_sorting() {
        let (connection, _folder) = empty_log();
        for (environment, list) in lists() {
            let comparison = match list.order {
                EventOrder::NewestFirst => "<",
                EventOrder::OldestFirst => ">",
            };
            let query = Query::new(&sample::workspace(), environment, &list);
            let (index, columns) = match (list.key, &list.owner, environment) {
                (Some(_), _, _) => ("keywright_events_key", "key=?"),
                (None, None, Environment::Live) => ("keywright_events_workspace", "workspace=?"),
                (None, None, Environment::Test) => ("keywright_events_test", "workspace=?"),
                (None, Some(_), Environment::Live) => {
                    ("keywright_events_owner", "workspace=? AND owner=?")
                }
                (None, Some(_), Environment::Test) => {
                    ("keywright_events_owner_test", "workspace=? AND owner=?")
                }
            };
            let plan = plan(&connection, &query.sql);
            let search = format!(
                "SEARCH keywright_events USING INDEX {index} ({columns} AND id{comparison}?)"
            );
            assert_eq!(plan.lines().next(), Some(&*search), "{list:?}");
            assert!(!plan.contains("TEMP B-TREE"), "{plan}");
        }
    }

    #[test]
    fn the_cost_of_a_page_does_not_depend_on_the_length_of_the_log() {
        let (connection, _folder) = empty_log();
        let events = fill(&connection, 3_000);
        let middle = events[1_500].id;
        for (environment, list) in lists() {
            for after in [None, Some(middle)] {
                let query = Query::new(&sample::workspace(), environment, &list);
                let mut statement = connection.prepare(&query.sql).unwrap();
                let read = statement
                    .query_map(params_from_iter(query.parameters(after, 3)), |_| Ok(()))
                    .unwrap()
                    .count();
                let steps = statement.get_status(StatementStatus::VmStep);
                // A scan of the events of one key would take more than 1,000 steps.
                assert!(steps < 100, "{steps} steps for {read} events: {list:?}");
            }
        }
    }

    #[test]
    fn slices_and_pages_of_any_length_show_the_same_events() {
        let (connection, _folder) = empty_log();
        let events = fill(&connection, 60);
        for (environment, list) in lists() {
            let mut expected: Vec<_> = events
                .iter()
                .filter(|event| list.selects(&sample::workspace(), environment, event))
                .cloned()
                .collect();
            if list.order == EventOrder::NewestFirst {
                expected.reverse();
            }
            for limit in [1, 7, u32::MAX] {
                for slice_length in [1, 3, 100] {
                    let mut list = list.clone().with_limit(limit);
                    let mut listed = Vec::new();
                    loop {
                        let mut listing =
                            EventListing::new(&sample::workspace(), environment, &list);
                        listing.slice_length = slice_length;
                        let page = (0..100)
                            .find_map(|_| listing.read_slice(&connection).unwrap())
                            .unwrap();
                        assert!(page.events.len() as u64 <= u64::from(limit));
                        listed.extend(page.events);
                        list.after = page.next;
                        if list.after.is_none() {
                            break;
                        }
                    }
                    assert_eq!(listed, expected, "slices of {slice_length}: {list:?}");
                }
            }
        }
    }

    #[test]
    fn a_purge_reads_only_the_events_that_it_deletes() {
        let (connection, _folder) = empty_log();
        assert_eq!(
            plan(&connection, PURGE),
            "SEARCH keywright_events USING PRIMARY KEY (id=?)\n\
             LIST SUBQUERY 1\n\
             SEARCH keywright_events USING PRIMARY KEY (id<?)"
        );
        assert_eq!(
            plan(&connection, PURGE_IN_WORKSPACE),
            "SEARCH keywright_events USING PRIMARY KEY (id=?)\n\
             LIST SUBQUERY 1\n\
             SEARCH keywright_events USING COVERING INDEX keywright_events_workspace \
             (workspace=? AND id<?)"
        );
    }

    #[test]
    fn a_purge_deletes_the_oldest_events_of_its_workspace_in_steps() {
        let (connection, _folder) = empty_log();
        let events = fill(&connection, 3_600);
        let remaining = || -> Vec<Vec<u8>> {
            connection
                .prepare("SELECT id FROM keywright_events ORDER BY id")
                .unwrap()
                .query_map((), |row| row.get(0))
                .unwrap()
                .collect::<rusqlite::Result<_>>()
                .unwrap()
        };
        let ids = |events: &mut dyn Iterator<Item = &Event>| -> Vec<Vec<u8>> {
            events.map(|event| event.id.as_bytes().into()).collect()
        };
        // The first event that is not covered.
        let before = events[1_800].created_at();
        let mut purge =
            PurgeEvents::new(before, 7).with_workspace(Workspace::parse("other").unwrap());
        assert_eq!(purge_events(&connection, &purge).unwrap(), 7);
        let mut covered = 0;
        let left = |event: &&Event| {
            covered += u32::from(purge.covers(event));
            !purge.covers(event) || covered > 7
        };
        assert_eq!(remaining(), ids(&mut events.iter().filter(left)));

        purge.limit = u32::MAX;
        assert_eq!(purge_events(&connection, &purge).unwrap(), 293);
        assert_eq!(purge_events(&connection, &purge).unwrap(), 0);
        let left = |event: &&Event| !purge.covers(event);
        assert_eq!(remaining(), ids(&mut events.iter().filter(left)));

        let purge = PurgeEvents::new(before, u32::MAX);
        for deleted in [500, 500, 500, 0] {
            assert_eq!(purge_events(&connection, &purge).unwrap(), deleted);
        }
        assert_eq!(remaining(), ids(&mut events[1_800..].iter()));
    }
}
