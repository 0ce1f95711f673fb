//! The schema of the file, its versions, and its migrations.

use rusqlite::{Connection, OptionalExtension, Result, types::Type};

use crate::error::{self, Error};

/// The migrations. The first `n` of them create the tables of version `n`. A released migration
/// never changes.
const MIGRATIONS: [&str; 1] = [V1];

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
///
/// The table of changes lists the ids of changed records, in the order of their changes. The newest
/// entry is never deleted, so that no number is used twice.
const V1: &str = "
    CREATE TABLE keywright_keys (
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
        alias BLOB,
        hash TEXT NOT NULL,
        tag BLOB NOT NULL,
        version INTEGER NOT NULL,
        allowed_ips TEXT,
        attributes TEXT,
        metadata TEXT
    ) STRICT, WITHOUT ROWID;

    CREATE INDEX keywright_keys_live ON keywright_keys (workspace, id, revoked_at, expires_at, enabled);
    CREATE INDEX keywright_keys_test ON keywright_keys (workspace, id, revoked_at, expires_at, enabled, environment)
        WHERE environment = 1;
    CREATE INDEX keywright_keys_owner ON keywright_keys (workspace, owner, id, revoked_at, expires_at, enabled)
        WHERE owner IS NOT NULL;
    CREATE INDEX keywright_keys_owner_test
        ON keywright_keys (workspace, owner, id, revoked_at, expires_at, enabled, environment)
        WHERE owner IS NOT NULL AND environment = 1;
    CREATE UNIQUE INDEX keywright_keys_alias ON keywright_keys (alias) WHERE alias IS NOT NULL;
    CREATE INDEX keywright_keys_parent ON keywright_keys (parent) WHERE parent IS NOT NULL;
    CREATE INDEX keywright_keys_rotated_by ON keywright_keys (rotated_by) WHERE rotated_by IS NOT NULL;

    CREATE TABLE keywright_events (
        id BLOB NOT NULL PRIMARY KEY,
        workspace TEXT NOT NULL,
        environment INTEGER NOT NULL,
        owner TEXT,
        key BLOB NOT NULL,
        event TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE INDEX keywright_events_workspace ON keywright_events (workspace, id);
    CREATE INDEX keywright_events_key ON keywright_events (key, id);
    CREATE INDEX keywright_events_test ON keywright_events (workspace, id) WHERE environment = 1;
    CREATE INDEX keywright_events_owner ON keywright_events (workspace, owner, id) WHERE owner IS NOT NULL;
    CREATE INDEX keywright_events_owner_test ON keywright_events (workspace, owner, id)
        WHERE owner IS NOT NULL AND environment = 1;

    CREATE TABLE keywright_reservations (
        key BLOB NOT NULL PRIMARY KEY,
        fingerprint BLOB NOT NULL,
        id BLOB NOT NULL,
        until INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE INDEX keywright_reservations_until ON keywright_reservations (until);

    CREATE TABLE keywright_settings (
        name TEXT NOT NULL PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE keywright_changes (
        seq INTEGER NOT NULL PRIMARY KEY,
        id BLOB NOT NULL
    ) STRICT;
";

/// The version of the schema is a row of the settings: the header of the file belongs to the host.
const VERSION_OF: &str = "SELECT value FROM keywright_settings WHERE name = 'schema_version'";

const SET_VERSION: &str = "
    INSERT INTO keywright_settings (name, value) VALUES ('schema_version', ?1)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";

/// Counts the columns of the settings, so that a table of another program is not read as ours.
const SETTINGS_COLUMNS: &str = "
    SELECT count(*) FROM pragma_table_info('keywright_settings') WHERE name IN ('name', 'value')";

/// Counts all objects, and those with a name that the store may need. Names ignore case.
const OBJECTS: &str = r"
    SELECT count(*), count(*) FILTER (WHERE name LIKE 'keywright\_%' ESCAPE '\')
    FROM sqlite_schema";

/// Which program a file belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Identity {
    /// The file has no table, and no program has marked its header.
    Empty,
    /// The file has a store, and its schema has this version. It may have other tables.
    Store { version: i64 },
    /// The file belongs to another program.
    Foreign {
        /// Whether it has tables.
        has_schema: bool,
        /// Whether it has tables with the names of a store.
        takes_names: bool,
    },
}

/// Identifies the file. The caller holds a transaction, so that all values come from one state.
pub(crate) fn identify(connection: &Connection) -> Result<Identity> {
    let columns: i64 = connection.query_one(SETTINGS_COLUMNS, (), |row| row.get(0))?;
    if columns == 2
        && let Some(version) = version(connection).optional()?
    {
        return Ok(Identity::Store {
            version: version.abs(),
        });
    }
    let (objects, named): (i64, i64) =
        connection.query_one(OBJECTS, (), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let header =
        |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let is_marked = header("application_id")? != 0 || header("user_version")? != 0;
    Ok(if objects == 0 && !is_marked {
        Identity::Empty
    } else {
        Identity::Foreign {
            has_schema: objects > 0,
            takes_names: named > 0,
        }
    })
}

/// Returns the version of the schema. It is negative if the store is sealed: its keys are moving to
/// another store, and no program writes to it.
pub(crate) fn version(connection: &Connection) -> Result<i64> {
    connection.prepare_cached(VERSION_OF)?.query_one((), |row| {
        row.get_ref(0)?.as_str()?.parse().map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error))
        })
    })
}

/// Fails if a newer program has migrated the file. Returns whether the store is sealed. The caller
/// holds a transaction.
pub(crate) fn check_version(connection: &Connection) -> error::Result<bool> {
    let found = version(connection)?;
    if found > VERSION {
        return Err(Error::NewerSchema {
            found,
            supported: VERSION,
        });
    }
    Ok(found < 0)
}

/// Migrates the schema from version `from` to the newest, inside a transaction.
pub(crate) fn migrate(connection: &Connection, from: i64) -> Result<()> {
    for (migration, next) in MIGRATIONS.into_iter().zip(1..) {
        if next > from {
            connection.execute_batch(migration)?;
        }
    }
    set_version(connection, VERSION)
}

/// Seals the store, or lets programs write to it again, inside a transaction.
pub(crate) fn set_sealed(connection: &Connection, is_sealed: bool) -> Result<()> {
    let version = version(connection)?.abs();
    set_version(connection, if is_sealed { -version } else { version })
}

fn set_version(connection: &Connection, version: i64) -> Result<()> {
    connection.execute(SET_VERSION, [version.to_string()])?;
    Ok(())
}
