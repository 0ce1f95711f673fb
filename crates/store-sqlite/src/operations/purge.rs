//! Purging keys that were revoked or expired long ago.

use std::collections::HashSet;

use keywright_core::{KeyId, Timestamp, store::Purge};
use rusqlite::{Connection, params, params_from_iter, types::Value};

use super::slice::{self, Slices};
use crate::{error::Result, record, savepoint::atomic};

/// The condition for the keys that the purge covers. Its parameters are the two times of the purge.
/// A time that is null selects no key, like [`Purge::covers`].
macro_rules! is_covered {
    () => {
        "(revoked_at < ?1 OR expires_at < ?2)"
    };
}

/// The covered keys of a slice, from the newest to the oldest. A key is older than its descendants,
/// so one search finds whole families.
const COVERED: &str = concat!(
    "SELECT id, successor FROM keywright_keys WHERE ",
    is_covered!(),
    " AND id < ?3 AND id >= ?4 ORDER BY id DESC"
);

const COVERED_IN_WORKSPACE: &str = concat!(
    "SELECT id, successor FROM keywright_keys \
     WHERE id IN (SELECT id FROM keywright_keys WHERE ",
    is_covered!(),
    " AND id < ?3 AND id >= ?4 AND workspace = ?5) ORDER BY id DESC"
);

/// The keys whose secrets a key received, because it created them or rotated their predecessors.
const RECEIVED: &str = "
    SELECT id FROM keywright_keys WHERE parent = ?1
    UNION ALL
    SELECT id FROM keywright_keys WHERE rotated_by = ?1";

const EXISTS: &str = "SELECT EXISTS (SELECT 1 FROM keywright_keys WHERE id = ?1)";

const DELETE: &str = concat!(
    "DELETE FROM keywright_keys AS key WHERE id = ?3 AND ",
    is_covered!(),
    "
        AND NOT EXISTS (SELECT 1 FROM keywright_keys AS child WHERE child.parent = key.id)
        AND NOT EXISTS (
            SELECT 1 FROM keywright_keys AS received WHERE received.rotated_by = key.id)
        AND NOT EXISTS (
            SELECT 1 FROM keywright_keys AS successor WHERE successor.id = key.successor)"
);

/// A search for keys that may be deleted, in slices.
///
/// It reads only the columns that it needs, so that it can also purge a damaged row. The keys may
/// change between two slices, and [`delete_purgeable`] checks them again.
#[derive(Debug)]
pub(crate) struct PurgeSearch {
    purge: Purge,
    slices: Slices,
    selection: Selection,
}

impl PurgeSearch {
    pub(crate) fn new(purge: Purge) -> Self {
        Self {
            purge,
            slices: Slices::new(slice::LENGTH),
            selection: Selection::default(),
        }
    }

    /// Reads the next slice. After the last one, returns the keys that may be deleted, each one
    /// after its descendants.
    pub(crate) fn read_slice(&mut self, connection: &Connection) -> Result<Option<Vec<KeyId>>> {
        // All reads of a slice see one state of the file.
        let transaction = connection.unchecked_transaction()?;
        let workspace = self.purge.workspace.as_ref();
        let workspace = workspace.map(|workspace| Value::Text(workspace.as_str().into()));
        let (sql, all) = match workspace {
            None => (COVERED, "true"),
            Some(_) => (COVERED_IN_WORKSPACE, "workspace = ?"),
        };
        let slice = self.slices.next(connection, all, workspace.clone())?;
        let parameters = times(&self.purge)
            .into_iter()
            .chain(slice.parameters())
            .chain(workspace);
        let limit = usize::try_from(self.purge.limit).unwrap_or(usize::MAX);
        let selection = &mut self.selection;
        let mut covered = connection.prepare_cached(sql)?;
        let mut rows = covered.query(params_from_iter(parameters))?;
        while let Some(row) = rows.next()? {
            if selection.in_order.len() == limit {
                break;
            }
            let id = record::cell(row, 0, record::id)?;
            let successor = record::optional(row, 1, record::id)?;
            if !selection.leaves_descendant(connection, &id, successor)? {
                selection.in_order.push(id);
                selection.ids.insert(id);
            }
        }
        drop(rows);
        drop(covered);
        transaction.commit()?;
        let is_done = slice.is_last() || selection.in_order.len() == limit;
        Ok(is_done.then(|| std::mem::take(&mut selection.in_order)))
    }
}

/// Returns the parameters of [`is_covered`].
fn times(purge: &Purge) -> [Value; 2] {
    [purge.revoked_before, purge.expired_before].map(|time| time.map(Timestamp::as_millis).into())
}

/// The keys selected for deletion.
#[derive(Debug, Default)]
struct Selection {
    in_order: Vec<KeyId>,
    ids: HashSet<KeyId>,
}

impl Selection {
    /// Whether a key that is not selected descends from this one.
    fn leaves_descendant(
        &self,
        connection: &Connection,
        id: &KeyId,
        successor: Option<KeyId>,
    ) -> rusqlite::Result<bool> {
        if let Some(successor) = successor.filter(|successor| !self.ids.contains(successor)) {
            let exists = connection
                .prepare_cached(EXISTS)?
                .query_one([successor.as_bytes()], |row| row.get(0))?;
            if exists {
                return Ok(true);
            }
        }
        let mut received = connection.prepare_cached(RECEIVED)?;
        let mut rows = received.query([id.as_bytes()])?;
        while let Some(row) = rows.next()? {
            if !self.ids.contains(&record::cell(row, 0, record::id)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Deletes the keys that may still be deleted, and returns how many.
pub(crate) fn delete_purgeable(
    connection: &Connection,
    ids: &[KeyId],
    purge: &Purge,
) -> Result<u64> {
    let [revoked_before, expired_before] = times(purge);
    atomic(connection, || {
        let mut delete = connection.prepare_cached(DELETE)?;
        let mut count = 0;
        for id in ids {
            let parameters = params![revoked_before, expired_before, id.as_bytes()];
            count += delete.execute(parameters)? as u64;
        }
        Ok(count)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{connection, file, query_plan::plan, record::NewRow, sample, schema};

    #[test]
    fn a_key_that_was_found_is_deleted_only_while_it_is_covered() {
        let connection = Connection::open_in_memory().unwrap();
        schema::migrate(&connection, 0).unwrap();
        let time = Timestamp::from_millis;
        let mut expired = sample::record(1);
        expired.key.expires_at = Some(time(5).unwrap());
        let mut revoked = sample::record(2);
        revoked.key.revoked_at = Some(time(5).unwrap());
        for record in [&expired, &revoked] {
            NewRow::new(record).unwrap().insert(&connection).unwrap();
        }
        let purge = |revoked_before, expired_before| {
            let mut purge = Purge::new(10);
            purge.revoked_before = revoked_before;
            purge.expired_before = expired_before;
            delete_purgeable(&connection, &[sample::id(1), sample::id(2)], &purge).unwrap()
        };
        let (at, after) = (time(5).ok(), time(6).ok());
        assert_eq!(purge(None, None), 0);
        assert_eq!(purge(at, at), 0);
        assert_eq!(purge(None, after), 1);
        assert_eq!(record::find(&connection, &sample::id(1)).unwrap(), None);
        assert_eq!(purge(after, None), 1);
        assert!(record::is_empty(&connection).unwrap());
    }

    #[test]
    fn only_the_search_for_covered_keys_scans_and_only_its_slice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.db");
        file::create_if_missing(&path).unwrap();
        let connection = connection::open(&path).unwrap();
        connection::configure(&connection).unwrap();
        schema::migrate(&connection, 0).unwrap();

        let plan = |sql: &str| plan(&connection, sql);
        assert_eq!(
            plan(COVERED),
            "SEARCH keywright_keys USING PRIMARY KEY (id>? AND id<?)"
        );
        assert_eq!(
            plan(COVERED_IN_WORKSPACE),
            "SEARCH keywright_keys USING PRIMARY KEY (id=?)\n\
             LIST SUBQUERY 1\n\
             SEARCH keywright_keys USING COVERING INDEX keywright_keys_live (workspace=? AND id>? AND id<?)"
        );
        assert_eq!(
            plan(RECEIVED),
            "COMPOUND QUERY\n\
             LEFT-MOST SUBQUERY\n\
             SEARCH keywright_keys USING COVERING INDEX keywright_keys_parent (parent=?)\n\
             UNION ALL\n\
             SEARCH keywright_keys USING COVERING INDEX keywright_keys_rotated_by (rotated_by=?)"
        );
        assert_eq!(
            plan(DELETE),
            "SEARCH key USING PRIMARY KEY (id=?)\n\
             CORRELATED SCALAR SUBQUERY 1\n\
             SEARCH child USING COVERING INDEX keywright_keys_parent (parent=?)\n\
             CORRELATED SCALAR SUBQUERY 2\n\
             SEARCH received USING COVERING INDEX keywright_keys_rotated_by (rotated_by=?)\n\
             CORRELATED SCALAR SUBQUERY 3\n\
             SEARCH successor USING PRIMARY KEY (id=?)"
        );
    }
}
