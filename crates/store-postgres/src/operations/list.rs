//! Listing the keys of a workspace.

use async_trait::async_trait;
use keywright_core::{
    Environment, Key, KeyId, ListKeys, ListStart, Page, Status, Timestamp, Workspace,
    store::fold_case,
};
use sqlx::{PgConnection, Postgres, QueryBuilder};

use super::scan::{ABOVE_ALL_IDS, BELOW_ALL_IDS, Order, Scan};
use crate::{
    database::{Access, Operation},
    error::Result,
    record::{self, COLUMNS, id_text},
    statements::Statements,
};

/// The number of keys in a slice.
const LENGTH: u32 = 5_000;

/// A list of the keys of a workspace that a caller sees, read in slices.
///
/// If a workspace has more keys than a slice, the list does not show one state of the table. It is
/// read from the newest key to the oldest, like pages that follow a cursor, so it shows each key
/// that exists from its beginning to its end.
#[derive(Debug)]
pub(crate) struct Listing {
    scan: Scan,
    filter: Filter,
    /// The upper end of the next slice, exclusive.
    before: String,
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
        let (before, offset, total) = match list.start {
            ListStart::Offset(offset) => (ABOVE_ALL_IDS.into(), offset, Some(0)),
            ListStart::After(id) => (id_text(&id), 0, None),
        };
        let is_filtered = list.status.is_some() || list.search.is_some() || list.imported;
        Self {
            scan: Scan::of_workspace("keys", workspace, environment, list.owner.as_ref()),
            filter: Filter {
                status: list.status,
                imported: list.imported,
                folded_search: list.search.as_deref().map(fold_case),
                now,
            },
            before,
            is_short: total.is_none() && !is_filtered && list.limit < LENGTH,
            limit: list.limit,
            offset,
            total,
            keys: Vec::new(),
        }
    }

    async fn count(
        &self,
        connection: &mut PgConnection,
        statements: &Statements,
        first: &str,
    ) -> Result<u64> {
        let mut query = self
            .scan
            .select(statements, "count(*)", first, &self.before);
        self.filter.push(&mut query);
        let count: i64 = query
            .build_query_scalar()
            .persistent(false)
            .fetch_one(connection)
            .await?;
        Ok(count.unsigned_abs())
    }

    async fn page(
        &self,
        connection: &mut PgConnection,
        statements: &Statements,
        first: &str,
    ) -> Result<Vec<Key>> {
        let mut query = self.scan.select(statements, COLUMNS, first, &self.before);
        self.filter.push(&mut query);
        self.scan.push_order(&mut query, Order::Descending);
        let limit = (u64::from(self.limit) + 1).saturating_sub(self.keys.len() as u64);
        for (keyword, number) in [(" LIMIT ", limit), (" OFFSET ", self.offset)] {
            let number = i64::try_from(number).unwrap_or(i64::MAX);
            query.push(keyword).push_bind(number);
        }
        let rows = query
            .build()
            .persistent(false)
            .fetch_all(connection)
            .await?;
        rows.iter().map(record::key).collect()
    }
}

#[async_trait]
impl Operation for Listing {
    type Output = Page<KeyId>;

    fn access(&self) -> Access {
        Access::Read
    }

    /// Reads the next slice. Returns the page after the last one.
    async fn step(
        &mut self,
        connection: &mut PgConnection,
        statements: &Statements,
    ) -> Result<Option<Page<KeyId>>> {
        let first = if self.is_short {
            BELOW_ALL_IDS.into()
        } else {
            self.scan
                .slice_before(connection, statements, &self.before, LENGTH)
                .await?
        };
        let count = match self.total {
            Some(_) => Some(self.count(connection, statements, &first).await?),
            None => None,
        };
        let is_full = self.keys.len() as u64 > u64::from(self.limit);
        let keys = if is_full || count.is_some_and(|count| count <= self.offset) {
            Vec::new()
        } else {
            self.page(connection, statements, &first).await?
        };
        self.keys.extend(keys);
        if let (Some(total), Some(count)) = (&mut self.total, count) {
            *total += count;
            self.offset = self.offset.saturating_sub(count);
        }
        self.before = first;
        let is_full = self.keys.len() as u64 > u64::from(self.limit);
        let is_done = self.before == BELOW_ALL_IDS || (is_full && self.total.is_none());
        Ok(is_done.then(|| {
            let keys = std::mem::take(&mut self.keys);
            Page::cut(keys, self.limit, self.total)
        }))
    }
}

/// The keys of the scan that a list selects.
#[derive(Debug)]
struct Filter {
    status: Option<Status>,
    imported: bool,
    folded_search: Option<String>,
    now: Timestamp,
}

impl Filter {
    /// Appends the conditions to a statement.
    fn push(&self, query: &mut QueryBuilder<Postgres>) {
        let now = self.now.as_millis();
        if let Some(status) = self.status {
            match status {
                Status::Active => query
                    .push(" AND revoked_at IS NULL AND enabled AND coalesce(expires_at > ")
                    .push_bind(now)
                    .push(", true)"),
                Status::Disabled => query
                    .push(" AND revoked_at IS NULL AND NOT enabled AND coalesce(expires_at > ")
                    .push_bind(now)
                    .push(", true)"),
                Status::Expired => query
                    .push(" AND revoked_at IS NULL AND expires_at <= ")
                    .push_bind(now),
                Status::Revoked => query.push(" AND revoked_at IS NOT NULL"),
            };
        }
        if self.imported {
            query.push(" AND alias IS NOT NULL");
        }
        match &self.folded_search {
            None => {}
            // PostgreSQL has no such text, and a name does not contain this character.
            Some(text) if text.contains('\0') => {
                query.push(" AND false");
            }
            Some(text) => {
                query
                    .push(" AND strpos(folded_name, ")
                    .push_bind(text.clone())
                    .push(") > 0");
            }
        }
    }
}
