//! Which records have changed: noted in the file with each change, and read by whoever keeps copies.

use keywright_core::{KeyId, Lease};
use rusqlite::Connection;

use crate::{error::Result, record};

/// Most notes that are kept. Whoever has missed more takes everything for changed.
const KEPT: i64 = 4096;

const NOTE: &str = "INSERT INTO changes (id) VALUES (?1)";

const PRUNE: &str = "DELETE FROM changes WHERE seq <= (SELECT max(seq) FROM changes) - ?1";

const LATEST: &str = "SELECT ifnull(max(seq), 0) FROM changes";

const SINCE: &str = "SELECT seq, id FROM changes WHERE seq > ?1 ORDER BY seq";

/// Notes that a record has changed, in the transaction that changes it.
pub(crate) fn note(connection: &Connection, id: &KeyId) -> Result<()> {
    connection.prepare_cached(NOTE)?.execute([id.as_bytes()])?;
    Ok(())
}

/// Forgets the oldest notes.
pub(crate) fn prune(connection: &Connection) -> Result<()> {
    connection.prepare_cached(PRUNE)?.execute([KEPT])?;
    Ok(())
}

/// The number of the latest note; 0 before the first.
pub(crate) fn latest(connection: &Connection) -> Result<i64> {
    Ok(connection
        .prepare_cached(LATEST)?
        .query_one((), |row| row.get(0))?)
}

/// What has changed since some moment.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Changed {
    /// These records.
    Records(Vec<KeyId>),
    /// Nobody knows which.
    Anything,
}

impl Changed {
    /// Reads the notes after the one of that number, and the number of the latest. A note that is
    /// missing or damaged may have been of any record.
    pub(crate) fn since(connection: &Connection, number: i64) -> Result<(Self, i64)> {
        let latest = latest(connection)?;
        let count = latest - number;
        if !(0..=KEPT).contains(&count) {
            return Ok((Self::Anything, latest));
        }
        let mut statement = connection.prepare_cached(SINCE)?;
        let mut rows = statement.query([number])?;
        let mut records = Vec::new();
        let mut next = number + 1;
        while let Some(row) = rows.next()? {
            let seq: i64 = row.get(0)?;
            match record::cell(row, 1, record::id) {
                Ok(id) if seq == next => records.push(id),
                _ => return Ok((Self::Anything, latest)),
            }
            next += 1;
        }
        Ok(if next == latest + 1 {
            (Self::Records(records), latest)
        } else {
            (Self::Anything, latest)
        })
    }

    /// Tells those who keep copies.
    pub(crate) fn tell(&self, lease: &Lease) {
        match self {
            Self::Records(ids) => ids.iter().for_each(|id| lease.changed(id)),
            Self::Anything => lease.changed_all(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{sample, schema};

    fn file() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        schema::migrate(&connection, 0).unwrap();
        connection
    }

    fn since(connection: &Connection, number: i64) -> (Changed, i64) {
        Changed::since(connection, number).unwrap()
    }

    #[test]
    fn tells_what_was_noted_after_a_number_and_no_more() {
        let connection = file();
        assert_eq!(since(&connection, 0), (Changed::Records(vec![]), 0));
        for number in 1..=3 {
            note(&connection, &sample::id(number)).unwrap();
        }
        let last = Changed::Records(vec![sample::id(2), sample::id(3)]);
        assert_eq!(since(&connection, 1), (last, 3));
        assert_eq!(since(&connection, 3), (Changed::Records(vec![]), 3));
    }

    #[test]
    fn what_was_forgotten_may_have_been_anything() {
        let connection = file();
        for number in 0..5_000 {
            note(&connection, &sample::id(number)).unwrap();
        }
        prune(&connection).unwrap();
        let kept: i64 = connection
            .query_one("SELECT count(*) FROM changes", (), |row| row.get(0))
            .unwrap();
        assert_eq!(kept, KEPT);
        assert_eq!(since(&connection, 5_000 - KEPT - 1).0, Changed::Anything);
        let (changed, latest) = since(&connection, 5_000 - KEPT);
        assert!(matches!(changed, Changed::Records(ids) if ids.len() == 4096));
        assert_eq!(latest, 5_000);
        // Another file, or an older one.
        assert_eq!(since(&connection, 6_000), (Changed::Anything, 5_000));
    }

    #[test]
    fn a_note_that_is_damaged_or_missing_may_have_been_of_anything() {
        let connection = file();
        for number in 1..=3 {
            note(&connection, &sample::id(number)).unwrap();
        }
        for damage in [
            "UPDATE changes SET id = x'00' WHERE seq = 2",
            "DELETE FROM changes WHERE seq = 2",
        ] {
            connection.execute(damage, ()).unwrap();
            assert_eq!(since(&connection, 0), (Changed::Anything, 3), "{damage}");
        }
    }
}
