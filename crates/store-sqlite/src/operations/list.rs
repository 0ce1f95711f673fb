//! Listing the keys of a workspace.

use keywright_core::{
    Environment, Key, KeyId, ListKeys, ListStart, Page, Status, Timestamp, Workspace,
    store::fold_case,
};
use rusqlite::{Connection, params_from_iter, types::Value};

use super::slice::{self, Slice, Slices};
use crate::{
    error::Result,
    record::{self, key_columns},
};

/// A list of the keys of a workspace, read in slices.
///
/// If a workspace has more keys than a slice, the list does not show one state of the file. It is
/// read from the newest key to the oldest, like pages that follow a cursor, so it shows each key
/// that exists from its beginning to its end.
#[derive(Debug)]
pub(crate) struct Listing {
    query: Query,
    slices: Slices,
    /// Whether the page can be read without scanning other keys.
    is_short: bool,
    limit: u32,
    /// The number of matching keys that are still to be skipped.
    offset: u64,
    total: Option<u64>,
    keys: Vec<Key>,
}

impl Listing {
    pub(crate) fn new(
        workspace: &Workspace,
        environment: Environment,
        list: &ListKeys<KeyId>,
        now: Timestamp,
    ) -> Self {
        Self::with_slices(workspace, environment, list, now, slice::LENGTH)
    }

    fn with_slices(
        workspace: &Workspace,
        environment: Environment,
        list: &ListKeys<KeyId>,
        now: Timestamp,
        length: u32,
    ) -> Self {
        let slices = Slices::new(length);
        let (slices, offset, total) = match list.start {
            ListStart::Offset(offset) => (slices, offset, Some(0)),
            ListStart::After(id) => (slices.after(id.as_bytes()), 0, None),
        };
        let is_filtered = list.status.is_some() || list.search.is_some() || list.imported;
        Self {
            query: Query::new(workspace, environment, list, now),
            slices,
            is_short: total.is_none() && !is_filtered && list.limit < length,
            limit: list.limit,
            offset,
            total,
            keys: Vec::new(),
        }
    }

    /// Reads the next slice. Returns the page after the last one.
    pub(crate) fn read_slice(&mut self, connection: &Connection) -> Result<Option<Page<KeyId>>> {
        // The total and the page see one state of the slice.
        let transaction = connection.unchecked_transaction()?;
        let slice = if self.is_short {
            self.slices.rest()
        } else {
            let all = &self.query.all;
            self.slices
                .next(connection, &all.conditions, all.parameters.clone())?
        };
        let query = self.query.matching.clone().within(&slice);
        let missing = (u64::from(self.limit) + 1).saturating_sub(self.keys.len() as u64);
        match &mut self.total {
            Some(total) => {
                let count = count(connection, &query)?;
                *total += count;
                if missing > 0 && self.offset < count {
                    let keys = page(connection, query, missing, self.offset)?;
                    self.keys.extend(keys);
                }
                self.offset = self.offset.saturating_sub(count);
            }
            None => self.keys.extend(page(connection, query, missing, 0)?),
        }
        transaction.commit()?;
        let is_full = self.total.is_none() && self.keys.len() as u64 > u64::from(self.limit);
        Ok((is_full || slice.is_last()).then(|| {
            let keys = std::mem::take(&mut self.keys);
            Page::cut(keys, self.limit, self.total)
        }))
    }
}

fn count(connection: &Connection, query: &Conditions) -> Result<u64> {
    let count: i64 = connection
        .prepare_cached(&query.count_sql())?
        .query_one(params_from_iter(&query.parameters), |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

fn page(connection: &Connection, query: Conditions, limit: u64, offset: u64) -> Result<Vec<Key>> {
    let [limit, offset] =
        [limit, offset].map(|number| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX)));
    let sql = query.page_sql();
    let parameters = query.parameters.into_iter().chain([limit, offset]);
    let keys = connection
        .prepare_cached(&sql)?
        .query_map(params_from_iter(parameters), record::key)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(keys)
}

/// The keys of a listing.
#[derive(Debug)]
struct Query {
    /// The keys that an index finds without scanning others.
    all: Conditions,
    /// The keys of `all` that match the filter.
    matching: Conditions,
}

impl Query {
    fn new(
        workspace: &Workspace,
        environment: Environment,
        list: &ListKeys<KeyId>,
        now: Timestamp,
    ) -> Self {
        let mut all = Conditions {
            conditions: "workspace = ?".into(),
            parameters: vec![Value::Text(workspace.as_str().into())],
        };
        if environment == Environment::Test {
            all.and("environment = 1");
        }
        if let Some(owner) = &list.owner {
            all.and_with("owner = ?", [Value::Text(owner.as_str().into())]);
        }
        let mut matching = all.clone();
        if let Some(status) = list.status {
            let now = Value::Integer(now.as_millis());
            match status {
                Status::Active => matching.and_with(
                    "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?) AND enabled",
                    [now],
                ),
                Status::Disabled => matching.and_with(
                    "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?) AND NOT enabled",
                    [now],
                ),
                Status::Expired => {
                    matching.and_with("revoked_at IS NULL AND expires_at <= ?", [now]);
                }
                Status::Revoked => matching.and("revoked_at IS NOT NULL"),
            }
        }
        if list.imported {
            matching.and("alias IS NOT NULL");
        }
        if let Some(text) = &list.search {
            matching.and_with("instr(fold(name), ?) > 0", [Value::Text(fold_case(text))]);
        }
        Self { all, matching }
    }
}

/// Conditions and their parameters.
#[derive(Clone, Debug)]
struct Conditions {
    conditions: String,
    parameters: Vec<Value>,
}

impl Conditions {
    /// Narrows the conditions to a slice.
    fn within(mut self, slice: &Slice) -> Self {
        self.and_with(Slice::CONDITION, slice.parameters());
        self
    }

    fn count_sql(&self) -> String {
        format!(
            "SELECT count(*) FROM keywright_keys WHERE {}",
            self.conditions
        )
    }

    /// Returns the statement for a page. Its last parameters are the limit and the offset. It skips
    /// keys in the index, and reads only the page's rows.
    fn page_sql(&self) -> String {
        format!(
            concat!(
                "SELECT ",
                key_columns!(),
                " FROM keywright_keys \
                 WHERE id IN (SELECT id FROM keywright_keys WHERE {} ",
                "ORDER BY id DESC LIMIT ? OFFSET ?) ORDER BY id DESC"
            ),
            self.conditions
        )
    }

    fn and(&mut self, condition: &str) {
        self.and_with(condition, []);
    }

    fn and_with<const N: usize>(&mut self, condition: &str, parameters: [Value; N]) {
        self.conditions.push_str(" AND ");
        self.conditions.push_str(condition);
        self.parameters.extend(parameters);
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use keywright_core::Owner;

    use super::*;
    use crate::{connection, file, query_plan::plan, record::NewRow, sample, schema};

    #[test]
    fn pages_and_totals_come_from_an_index_without_sorting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.db");
        file::create_if_missing(&path).unwrap();
        let connection = connection::open(&path).unwrap();
        connection::configure(&connection).unwrap();
        schema::migrate(&connection, 0).unwrap();

        let workspace = Workspace::parse("default").unwrap();
        let now = Timestamp::from_millis(0).unwrap();
        let cursor = KeyId::parse("key_0U5lKtf600000000").unwrap();
        let owner = Owner::parse("user:42").unwrap();
        for (environment, owner, index, prefix) in [
            (
                Environment::Live,
                None,
                "keywright_keys_live",
                "workspace=?",
            ),
            (
                Environment::Test,
                None,
                "keywright_keys_test",
                "workspace=?",
            ),
            (
                Environment::Live,
                Some(&owner),
                "keywright_keys_owner",
                "workspace=? AND owner=?",
            ),
            (
                Environment::Test,
                Some(&owner),
                "keywright_keys_owner_test",
                "workspace=? AND owner=?",
            ),
        ] {
            for status in iter::once(None).chain(Status::ALL.map(Some)) {
                let mut list = ListKeys::new();
                list.owner = owner.cloned();
                list.status = status;
                let query = Query::new(&workspace, environment, &list, now);
                let slice = Slices::new(1).after(cursor.as_bytes()).rest();
                let matching = query.matching.within(&slice);
                let search = format!(
                    "SEARCH keywright_keys USING COVERING INDEX {index} ({prefix} AND id>? AND id<?)"
                );
                assert_eq!(plan(&connection, &matching.count_sql()), search, "{list:?}");
                assert_eq!(
                    plan(&connection, &matching.page_sql()),
                    format!(
                        "SEARCH keywright_keys USING PRIMARY KEY (id=?)\nLIST SUBQUERY 1\n{search}"
                    ),
                    "{list:?}"
                );
            }
        }
    }

    #[test]
    fn slices_of_any_length_return_the_same_pages() {
        let connection = Connection::open_in_memory().unwrap();
        connection::configure(&connection).unwrap();
        schema::migrate(&connection, 0).unwrap();
        let owner = Owner::parse("user:42").unwrap();
        let mut workspaces = ["default", "other"].into_iter().cycle();
        for number in 0..60 {
            let mut record = sample::record(number);
            record.key.workspace = Workspace::parse(workspaces.next().unwrap()).unwrap();
            if number % 3 == 0 {
                record.key.environment = Environment::Test;
            }
            if number % 5 < 2 {
                record.key.revoked_at = Some(sample::now());
            }
            record.key.enabled = number % 5 != 2;
            if number % 4 == 0 {
                record.key.owner = Some(owner.clone());
            }
            NewRow::new(&record).unwrap().insert(&connection).unwrap();
        }
        let workspace = Workspace::parse("default").unwrap();
        let read = |environment, list: &ListKeys<KeyId>, length| {
            let mut listing =
                Listing::with_slices(&workspace, environment, list, sample::now(), length);
            let mut slices = 1;
            loop {
                match listing.read_slice(&connection).unwrap() {
                    Some(page) => return (page, slices),
                    None => slices += 1,
                }
            }
        };
        for environment in [Environment::Live, Environment::Test] {
            for start in [
                ListStart::Offset(0),
                ListStart::Offset(4),
                ListStart::Offset(29),
                ListStart::Offset(u64::MAX),
                ListStart::After(sample::id(31)),
            ] {
                for (owner, status, search) in [
                    (None, None, None),
                    (Some(&owner), None, None),
                    (None, Some(Status::Revoked), None),
                    (Some(&owner), Some(Status::Disabled), None),
                    (None, Some(Status::Active), Some("4")),
                    (None, None, Some("no such name")),
                ] {
                    for limit in [1, 7, 30, u32::MAX] {
                        let mut list = ListKeys::new().with_start(start).with_limit(limit);
                        list.owner = owner.cloned();
                        list.status = status;
                        list.search = search.map(Into::into);
                        let (expected, slices) = read(environment, &list, 1000);
                        assert_eq!(slices, 1);
                        for length in [1, 2, 7, 30] {
                            let (page, _) = read(environment, &list, length);
                            assert_eq!(page, expected, "slices of {length}: {list:?}");
                        }
                    }
                }
            }
        }
        // A search that finds nothing reads all 30 keys, and no slice is longer than its length.
        let nothing = ListKeys::new().with_search("no such name");
        assert_eq!(read(Environment::Live, &nothing, 7).1, 5);
        // A search in the keys of an owner reads only these 15.
        let nothing = nothing.with_owner(owner);
        assert_eq!(read(Environment::Live, &nothing, 7).1, 3);
    }
}
