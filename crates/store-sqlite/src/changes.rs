//! The table `keywright_changes`, which lists changed records for other handles and processes.

use keywright_core::{KeyId, store::Lease};
use rusqlite::Connection;

use crate::{error::Result, record};

/// The number of entries that are kept. A reader that has missed more entries treats every record
/// as changed.
const CAPACITY: i64 = 4096;

const APPEND: &str = "INSERT INTO keywright_changes (id) VALUES (?1)";

const PRUNE: &str = "
    DELETE FROM keywright_changes
    WHERE seq <= (SELECT max(seq) FROM keywright_changes) - ?1";

const LATEST: &str = "SELECT ifnull(max(seq), 0) FROM keywright_changes";

const SINCE: &str = "SELECT seq, id FROM keywright_changes WHERE seq > ?1 ORDER BY seq";

/// Appends an entry for a record, in the transaction that changes it.
pub(crate) fn append(connection: &Connection, id: &KeyId) -> Result<()> {
    connection
        .prepare_cached(APPEND)?
        .execute([id.as_bytes()])?;
    Ok(())
}

/// Deletes the oldest entries beyond the capacity.
pub(crate) fn prune(connection: &Connection) -> Result<()> {
    connection.prepare_cached(PRUNE)?.execute([CAPACITY])?;
    Ok(())
}

/// Returns the number of the latest entry, or 0 if there has never been one.
pub(crate) fn latest(connection: &Connection) -> Result<i64> {
    Ok(connection
        .prepare_cached(LATEST)?
        .query_one((), |row| row.get(0))?)
}

/// The records that have changed since an entry.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Changed {
    /// These records.
    Records(Vec<KeyId>),
    /// Possibly every record: some entries are missing or damaged.
    Any,
}

impl Changed {
    /// Reads the entries after `number`, and returns the number of the latest entry with them.
    pub(crate) fn since(connection: &Connection, number: i64) -> Result<(Self, i64)> {
        let latest = latest(connection)?;
        let count = latest - number;
        if !(0..=CAPACITY).contains(&count) {
            return Ok((Self::Any, latest));
        }
        let mut statement = connection.prepare_cached(SINCE)?;
        let mut rows = statement.query([number])?;
        let mut records = Vec::new();
        let mut next = number + 1;
        while let Some(row) = rows.next()? {
            let seq: i64 = row.get(0)?;
            match record::cell(row, 1, record::id) {
                Ok(id) if seq == next => records.push(id),
                _ => return Ok((Self::Any, latest)),
            }
            next += 1;
        }
        Ok(if next == latest + 1 {
            (Self::Records(records), latest)
        } else {
            (Self::Any, latest)
        })
    }

    /// Invalidates the cached copies of these records.
    pub(crate) fn notify(&self, lease: &Lease) {
        match self {
            Self::Records(ids) => ids.iter().for_each(|id| lease.changed(id)),
            Self::Any => lease.changed_all(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{sample, schema};

    fn database() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        schema::migrate(&connection, 0).unwrap();
        connection
    }

    fn since(connection: &Connection, number: i64) -> (Changed, i64) {
        Changed::since(connection, number).unwrap()
    }

    #[test]
    fn only_entries_after_the_number_are_returned() {
        let connection = database();
        assert_eq!(since(&connection, 0), (Changed::Records(vec![]), 0));
        for number in 1..=3 {
            append(&connection, &sample::id(number)).unwrap();
        }
        let last = Changed::Records(vec![sample::id(2), sample::id(3)]);
        assert_eq!(since(&connection, 1), (last, 3));
        assert_eq!(since(&connection, 3), (Changed::Records(vec![]), 3));
    }

    #[test]
    fn a_pruned_entry_counts_as_a_change_of_any_record() {
        let connection = database();
        for number in 0..5_000 {
            append(&connection, &sample::id(number)).unwrap();
        }
        prune(&connection).unwrap();
        let kept: i64 = connection
            .query_one("SELECT count(*) FROM keywright_changes", (), |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(kept, CAPACITY);
        assert_eq!(since(&connection, 5_000 - CAPACITY - 1).0, Changed::Any);
        let (changed, latest) = since(&connection, 5_000 - CAPACITY);
        assert!(matches!(changed, Changed::Records(ids) if ids.len() == 4096));
        assert_eq!(latest, 5_000);
        // A number beyond the latest comes from another file, or from a later state of this file.
        assert_eq!(since(&connection, 6_000), (Changed::Any, 5_000));
    }

    #[test]
    fn a_damaged_or_missing_entry_counts_as_a_change_of_any_record() {
        let connection = database();
        for number in 1..=3 {
            append(&connection, &sample::id(number)).unwrap();
        }
        for damage in [
            "UPDATE keywright_changes SET id = x'00' WHERE seq = 2",
            "DELETE FROM keywright_changes WHERE seq = 2",
        ] {
            connection.execute(damage, ()).unwrap();
            assert_eq!(since(&connection, 0), (Changed::Any, 3), "{damage}");
        }
    }
}
