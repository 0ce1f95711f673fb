//! The schema of the file, its versions, and its migrations.

use rusqlite::{Connection, Result};

/// The application id in the header of the file, `KWRG`. It marks the file as a store of this
/// crate.
const APPLICATION_ID: i64 = 0x4b57_5247;

/// The migrations. The first `n` of them turn an empty file into one of version `n`. A released
/// migration never changes.
const MIGRATIONS: [&str; 2] = [V1, V2];

/// The newest version that this program supports.
pub(crate) const VERSION: i64 = MIGRATIONS.len() as i64;

/// All times are Unix milliseconds. An id is stored as its 16 ASCII characters, which begin with
/// the time of creation, so that new rows are appended. The columns of a list or of a purge come
/// before the texts that clients and hosts choose freely, which may need pages of their own.
///
/// The indexes for lists contain the columns of the filter by status, so that a row which the
/// filter skips is not read. A key without an owner has no entry in the indexes by owner.
///
/// An event is its JSON and the columns of the lists of events. A change inserts an entry into each
/// index, so those for owners and for `test` callers are partial.
const V1: &str = "
    CREATE TABLE keys (
        id BLOB NOT NULL PRIMARY KEY,
        workspace TEXT NOT NULL,
        environment INTEGER NOT NULL,
        owner TEXT,
        name TEXT NOT NULL,
        permissions TEXT NOT NULL,
        enabled INTEGER NOT NULL,
        parent BLOB,
        successor BLOB,
        predecessor BLOB,
        rotated_by BLOB,
        expires_at INTEGER,
        revoked_at INTEGER,
        last_used_at INTEGER,
        hash TEXT NOT NULL,
        tag BLOB NOT NULL,
        version INTEGER NOT NULL,
        allowed_ips TEXT,
        attributes TEXT,
        metadata TEXT
    ) STRICT, WITHOUT ROWID;

    CREATE INDEX keys_live ON keys (workspace, id, revoked_at, expires_at, enabled);
    CREATE INDEX keys_test ON keys (workspace, id, revoked_at, expires_at, enabled, environment)
        WHERE environment = 1;
    CREATE INDEX keys_owner ON keys (workspace, owner, id, revoked_at, expires_at, enabled)
        WHERE owner IS NOT NULL;
    CREATE INDEX keys_owner_test
        ON keys (workspace, owner, id, revoked_at, expires_at, enabled, environment)
        WHERE owner IS NOT NULL AND environment = 1;
    CREATE INDEX keys_parent ON keys (parent) WHERE parent IS NOT NULL;
    CREATE INDEX keys_rotated_by ON keys (rotated_by) WHERE rotated_by IS NOT NULL;

    CREATE TABLE events (
        id BLOB NOT NULL PRIMARY KEY,
        workspace TEXT NOT NULL,
        environment INTEGER NOT NULL,
        owner TEXT,
        key BLOB NOT NULL,
        event TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE INDEX events_workspace ON events (workspace, id);
    CREATE INDEX events_key ON events (key, id);
    CREATE INDEX events_test ON events (workspace, id) WHERE environment = 1;
    CREATE INDEX events_owner ON events (workspace, owner, id) WHERE owner IS NOT NULL;
    CREATE INDEX events_owner_test ON events (workspace, owner, id)
        WHERE owner IS NOT NULL AND environment = 1;

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

/// The ids of changed records, in the order of their changes. The newest entry is never deleted, so
/// that no number is used twice.
const V2: &str = "
    CREATE TABLE changes (
        seq INTEGER NOT NULL PRIMARY KEY,
        id BLOB NOT NULL
    ) STRICT;
";

/// Which program a file belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Identity {
    /// The file is empty.
    Empty,
    /// The file is a store, and its schema has this version.
    Store { version: i64 },
    /// The file belongs to another program.
    Foreign,
}

/// Identifies the file. The caller holds a transaction, so that all values come from one state.
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

/// Returns the version of the schema.
pub(crate) fn version(connection: &Connection) -> Result<i64> {
    connection
        .prepare_cached("PRAGMA user_version")?
        .query_one((), |row| row.get(0))
}

/// Migrates the schema from version `from` to the newest, inside a transaction.
pub(crate) fn migrate(connection: &Connection, from: i64) -> Result<()> {
    for (migration, next) in MIGRATIONS.into_iter().zip(1..) {
        if next > from {
            connection.execute_batch(migration)?;
        }
    }
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", VERSION)
}
