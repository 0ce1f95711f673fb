//! The purge of revoked and expired keys.

use std::collections::HashSet;

use async_trait::async_trait;
use keywright_core::{Environment, Timestamp, store::Purge};
use sqlx::{PgConnection, Row as _};

use super::scan::{ABOVE_ALL_IDS, BELOW_ALL_IDS, Order, Scan};
use crate::{
    database::{Access, Operation},
    error::Result,
    statements::Statements,
};

/// The number of keys in a slice. A slice keeps the rows locked that it deletes.
const LENGTH: u32 = 1_000;

/// A purge, in slices. Each slice deletes keys in a transaction of its own.
///
/// The slices go from the newest key to the oldest. A key is older than its descendants, so one
/// purge deletes whole families. It reads only the columns that it needs, so that it can also
/// delete a damaged row.
#[derive(Debug)]
pub(crate) struct KeyPurge {
    purge: Purge,
    scan: Scan,
    /// The upper end of the next slice, exclusive.
    before: String,
    deleted: u64,
}

/// The columns of a key that name its relatives.
struct Relatives {
    id: String,
    parent: Option<String>,
    rotated_by: Option<String>,
    successor: Option<String>,
}

impl KeyPurge {
    pub(crate) fn new(purge: Purge) -> Self {
        let scan = match &purge.workspace {
            Some(workspace) => Scan::of_workspace("keys", workspace, Environment::Live, None),
            None => Scan::all("keys"),
        };
        Self {
            purge,
            scan,
            before: ABOVE_ALL_IDS.into(),
            deleted: 0,
        }
    }

    /// Locks and reads the selected keys of a slice, so that no descendant is inserted until the
    /// end of the transaction. A key that another transaction locks is left for a later purge.
    async fn lock(
        &self,
        connection: &mut PgConnection,
        statements: &Statements,
        first: &str,
    ) -> Result<Vec<Relatives>> {
        let columns = "id, parent, rotated_by, successor";
        let mut query = self.scan.select(statements, columns, first, &self.before);
        query
            .push(" AND (revoked_at < ")
            .push_bind(self.purge.revoked_before.map(Timestamp::as_millis))
            .push(" OR expires_at < ")
            .push_bind(self.purge.expired_before.map(Timestamp::as_millis))
            .push(")");
        self.scan.push_order(&mut query, Order::Descending);
        query.push(" FOR UPDATE SKIP LOCKED");
        let rows = query
            .build()
            .persistent(false)
            .fetch_all(connection)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(Relatives {
                    id: row.try_get("id")?,
                    parent: row.try_get("parent")?,
                    rotated_by: row.try_get("rotated_by")?,
                    successor: row.try_get("successor")?,
                })
            })
            .collect()
    }
}

/// Returns the keys that can be deleted, from the newest to the oldest: no key remains that
/// descends from them.
async fn without_descendants(
    connection: &mut PgConnection,
    statements: &Statements,
    keys: Vec<Relatives>,
    limit: u64,
) -> Result<Vec<String>> {
    let ids: Vec<String> = keys.iter().map(|key| key.id.clone()).collect();
    let among: HashSet<&str> = keys.iter().map(|key| &*key.id).collect();
    let successors: Vec<String> = keys
        .iter()
        .filter_map(|key| key.successor.clone())
        .filter(|id| !among.contains(&**id))
        .collect();
    let sql = "SELECT id FROM unnest($1::text[]) AS k (id) WHERE \
         EXISTS (SELECT FROM {schema}.keys AS d WHERE d.parent = k.id AND d.id <> ALL ($1)) OR \
         EXISTS (SELECT FROM {schema}.keys AS d WHERE d.rotated_by = k.id AND d.id <> ALL ($1)) \
         UNION ALL SELECT id FROM {schema}.keys WHERE id = ANY ($2)";
    // Keys with descendants outside this set, and the successors outside it that exist.
    let remaining: Vec<String> = sqlx::query_scalar(statements.sql(sql))
        .bind(ids)
        .bind(successors)
        .persistent(false)
        .fetch_all(connection)
        .await?;
    let mut remaining: HashSet<String> = remaining.into_iter().collect();
    let mut deletable = Vec::new();
    for key in keys {
        let has_descendant = key
            .successor
            .is_some_and(|successor| remaining.contains(&successor));
        if has_descendant || remaining.contains(&key.id) || deletable.len() as u64 == limit {
            remaining.extend(key.parent);
            remaining.extend(key.rotated_by);
            remaining.insert(key.id);
        } else {
            deletable.push(key.id);
        }
    }
    Ok(deletable)
}

#[async_trait]
impl Operation for KeyPurge {
    type Output = u64;

    fn access(&self) -> Access {
        Access::Write
    }

    /// Deletes the keys of the next slice. After the last one, returns how many keys were deleted.
    async fn step(
        &mut self,
        connection: &mut PgConnection,
        statements: &Statements,
    ) -> Result<Option<u64>> {
        let limit = u64::from(self.purge.limit);
        let first = self
            .scan
            .slice_before(connection, statements, &self.before, LENGTH)
            .await?;
        let keys = self.lock(connection, statements, &first).await?;
        if !keys.is_empty() {
            let left = limit - self.deleted;
            let ids = without_descendants(connection, statements, keys, left).await?;
            let sql = "DELETE FROM {schema}.keys WHERE id = ANY ($1)";
            let deleted = sqlx::query(statements.sql(sql))
                .bind(ids)
                .persistent(false)
                .execute(connection)
                .await?;
            self.deleted += deleted.rows_affected();
        }
        self.before = first;
        let is_done = self.before == BELOW_ALL_IDS || self.deleted >= limit;
        Ok(is_done.then_some(self.deleted))
    }
}
