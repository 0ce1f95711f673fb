//! The schema of the file, its versions, and how one becomes the next.

use rusqlite::{Connection, Result};

/// `KWRG`, in the header of the file: it belongs to this crate.
const APPLICATION_ID: i64 = 0x4b57_5247;

/// Version `n` is what the first `n` of these make of an empty file. What was released never
/// changes; a new version is one more.
const MIGRATIONS: [&str; 2] = [V1, V2];

/// The newest version that this program knows.
pub(crate) const VERSION: i64 = MIGRATIONS.len() as i64;

/// All times are Unix milliseconds. The time of creation is in the id, which is kept as its 16
/// ASCII characters, so that new rows are appended. The indexes for lists hold what a filter by
/// status needs, so that keys which it passes over cost no look at their rows.
const V1: &str = "
    CREATE TABLE keys (
        id BLOB NOT NULL PRIMARY KEY,
        workspace TEXT NOT NULL,
        environment INTEGER NOT NULL,
        name TEXT NOT NULL,
        permissions TEXT NOT NULL,
        parent BLOB,
        successor BLOB,
        expires_at INTEGER,
        revoked_at INTEGER,
        last_used_at INTEGER,
        hash TEXT NOT NULL,
        tag BLOB NOT NULL,
        version INTEGER NOT NULL,
        metadata TEXT
    ) STRICT, WITHOUT ROWID;

    CREATE INDEX keys_live ON keys (workspace, id, revoked_at, expires_at);
    CREATE INDEX keys_test ON keys (workspace, id, revoked_at, expires_at, environment)
        WHERE environment = 1;
    CREATE INDEX keys_parent ON keys (parent) WHERE parent IS NOT NULL;

    CREATE TABLE reservations (
        key BLOB NOT NULL PRIMARY KEY,
        fingerprint BLOB NOT NULL,
        id BLOB NOT NULL,
        until INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE INDEX reservations_until ON reservations (until);

    CREATE TABLE settings (
        name TEXT NOT NULL PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// Which records have changed, in this order. The newest note is never deleted, so that no number
/// comes twice.
const V2: &str = "
    CREATE TABLE changes (
        seq INTEGER NOT NULL PRIMARY KEY,
        id BLOB NOT NULL
    ) STRICT;
";

/// Whose file it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Identity {
    /// Nobody's yet.
    Empty,
    /// A store whose schema has this version.
    Store { version: i64 },
    /// Another program's.
    Foreign,
}

/// Reads whose file it is. To get one answer it takes a transaction around it.
pub(crate) fn identify(connection: &Connection) -> Result<Identity> {
    let application_id: i64 = connection.pragma_query_one(None, "application_id")?;
    let version = version(connection)?;
    let objects: i64 =
        connection.query_one("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    Ok(match (application_id, version, objects) {
        (APPLICATION_ID, version, _) => Identity::Store { version },
        (0, 0, 0) => Identity::Empty,
        _ => Identity::Foreign,
    })
}

/// The version of the schema, at the present state of the connection's transaction.
pub(crate) fn version(connection: &Connection) -> Result<i64> {
    connection
        .prepare_cached("PRAGMA user_version")?
        .query_one((), |row| row.get(0))
}

/// Brings the schema from a version to the newest, inside a transaction.
pub(crate) fn migrate(connection: &Connection, from: i64) -> Result<()> {
    for (migration, next) in MIGRATIONS.into_iter().zip(1..) {
        if next > from {
            connection.execute_batch(migration)?;
        }
    }
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", VERSION)
}
