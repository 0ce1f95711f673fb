//! Records as rows of the table `keywright_keys`.

use std::error::Error;

use keywright_core::{
    AllowedIps, Attributes, Environment, Key, KeyId, Metadata, Name, Owner, Permissions, Timestamp,
    Workspace,
    store::{Alias, Credential, Record, StoredHash, Tag},
};
use rusqlite::{Connection, Row, params, types::ValueRef};

/// The columns that [`key`] reads.
macro_rules! key_columns {
    () => {
        "id, workspace, environment, owner, name, permissions, metadata, attributes, enabled, \
         allowed_ips, parent, successor, predecessor, rotated_by, expires_at, revoked_at, \
         last_used_at, alias"
    };
}
pub(crate) use key_columns;

const SELECT: &str = concat!(
    "SELECT ",
    key_columns!(),
    ", hash, tag, version FROM keywright_keys WHERE id = ?1"
);

const SELECT_BY_ALIAS: &str = concat!(
    "SELECT ",
    key_columns!(),
    ", hash, tag, version FROM keywright_keys WHERE alias = ?1"
);

const PAGE: &str = concat!(
    "SELECT ",
    key_columns!(),
    ", hash, tag, version FROM keywright_keys INDEXED BY keywright_keys_live \
     WHERE workspace = ?1 AND id > ?2 ORDER BY id LIMIT ?3"
);

macro_rules! into_keys {
    () => {
        concat!(
            " INTO keywright_keys (",
            key_columns!(),
            ", hash, tag, version) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, \
             ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)"
        )
    };
}

const INSERT: &str = concat!("INSERT", into_keys!());

const REPLACE: &str = concat!("REPLACE", into_keys!());

/// Returns the record with this id, even if its key is revoked.
pub(crate) fn find(connection: &Connection, id: &KeyId) -> rusqlite::Result<Option<Record>> {
    let mut select = connection.prepare_cached(SELECT)?;
    let mut rows = select.query([id.as_bytes()])?;
    rows.next()?.map(record).transpose()
}

/// Returns the record with this alias, even if its key is revoked.
pub(crate) fn find_by_alias(
    connection: &Connection,
    alias: &Alias,
) -> rusqlite::Result<Option<Record>> {
    let mut select = connection.prepare_cached(SELECT_BY_ALIAS)?;
    let mut rows = select.query([alias.as_bytes()])?;
    rows.next()?.map(record).transpose()
}

/// Returns up to `limit` records of a workspace after an id, in the order of their ids.
///
/// # Errors
///
/// The error of a row names its id.
pub(crate) fn page(
    connection: &Connection,
    workspace: &Workspace,
    after: Option<&KeyId>,
    limit: u32,
) -> Result<Vec<Record>, crate::error::Error> {
    let after = after.map_or(&[][..], |id| id.as_bytes());
    let mut select = connection.prepare_cached(PAGE)?;
    let mut rows = select.query(params![workspace.as_str(), after, limit])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        let id = cell(row, 0, id)?;
        let record = record(row).map_err(|source| crate::error::Error::Row {
            id: id.to_string(),
            source,
        })?;
        records.push(record);
    }
    Ok(records)
}

/// Whether the table has no row.
pub(crate) fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT NOT EXISTS (SELECT 1 FROM keywright_keys)")?
        .query_one((), |row| row.get(0))
}

/// Reads the columns of a whole record.
fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let alias = optional(row, 17, alias)?;
    let hash = cell(row, 18, |value| Ok(StoredHash::parse(value.as_str()?)?))?;
    let tag = cell(row, 19, |value| Ok(value.as_blob()?.try_into()?))?;
    let version = cell(row, 20, |value| Ok(value.as_i64()?.try_into()?))?;
    let credential = Credential::new(hash, Tag::from_bytes(tag));
    let mut record = Record::new(key(row)?, credential);
    record.alias = alias;
    record.version = version;
    Ok(record)
}

/// Reads the columns of a key.
pub(crate) fn key(row: &Row<'_>) -> rusqlite::Result<Key> {
    let mut key = Key::new(
        cell(row, 0, id)?,
        cell(row, 1, |value| Ok(Workspace::parse(value.as_str()?)?))?,
        cell(row, 2, environment)?,
        cell(row, 4, name)?,
        cell(row, 5, |value| {
            Ok(value.as_str()?.parse::<Permissions>()?)
        })?,
    );
    key.owner = optional(row, 3, |value| Ok(Owner::parse(value.as_str()?)?))?;
    key.metadata = optional(row, 6, |value| Ok(Metadata::parse(value.as_str()?)?))?;
    key.attributes = optional(row, 7, |value| Ok(Attributes::parse(value.as_str()?)?))?;
    key.enabled = cell(row, 8, enabled)?;
    key.allowed_ips = optional(row, 9, allowed_ips)?;
    key.parent = optional(row, 10, id)?;
    key.successor = optional(row, 11, id)?;
    key.predecessor = optional(row, 12, id)?;
    key.rotated_by = optional(row, 13, id)?;
    key.expires_at = optional(row, 14, time)?;
    key.revoked_at = optional(row, 15, time)?;
    key.last_used_at = optional(row, 16, time)?;
    key.imported = optional(row, 17, alias)?.is_some();
    Ok(key)
}

type InvalidValue = Box<dyn Error + Send + Sync>;

/// Reads a column with `read`, whose error becomes SQLite's error for a failed conversion.
pub(crate) fn cell<T>(
    row: &Row<'_>,
    column: usize,
    read: impl FnOnce(ValueRef<'_>) -> Result<T, InvalidValue>,
) -> rusqlite::Result<T> {
    let value = row.get_ref(column)?;
    read(value).map_err(|source| {
        rusqlite::Error::FromSqlConversionFailure(column, value.data_type(), source)
    })
}

/// Reads a column that may be null.
pub(crate) fn optional<T>(
    row: &Row<'_>,
    column: usize,
    read: impl FnOnce(ValueRef<'_>) -> Result<T, InvalidValue>,
) -> rusqlite::Result<Option<T>> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        _ => cell(row, column, read).map(Some),
    }
}

/// Reads the value of an id.
pub(crate) fn id(value: ValueRef<'_>) -> Result<KeyId, InvalidValue> {
    Ok(KeyId::from_bytes(value.as_blob()?)?)
}

fn alias(value: ValueRef<'_>) -> Result<Alias, InvalidValue> {
    Ok(Alias::from_bytes(value.as_blob()?.try_into()?))
}

fn time(value: ValueRef<'_>) -> Result<Timestamp, InvalidValue> {
    Ok(Timestamp::from_millis(value.as_i64()?)?)
}

/// Reads a name. `Name::parse` trims white space, which a stored name does not have.
fn name(value: ValueRef<'_>) -> Result<Name, InvalidValue> {
    let text = value.as_str()?;
    let name = Name::parse(text)?;
    if name.as_str() == text {
        Ok(name)
    } else {
        Err("a stored name has no surrounding white space".into())
    }
}

/// Returns the number of an environment in a column.
pub(crate) const fn environment_number(environment: Environment) -> i64 {
    match environment {
        Environment::Live => 0,
        Environment::Test => 1,
    }
}

fn environment(value: ValueRef<'_>) -> Result<Environment, InvalidValue> {
    match value.as_i64()? {
        0 => Ok(Environment::Live),
        1 => Ok(Environment::Test),
        _ => Err("a stored environment is 0 or 1".into()),
    }
}

fn enabled(value: ValueRef<'_>) -> Result<bool, InvalidValue> {
    match value.as_i64()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err("a stored enabled is 0 or 1".into()),
    }
}

/// Reads allowed addresses. Parsing accepts any order, duplicates and mapped addresses, none of
/// which a stored set has.
fn allowed_ips(value: ValueRef<'_>) -> Result<AllowedIps, InvalidValue> {
    let text = value.as_str()?;
    // The error of a prefix with host bits is not returned, because it repeats the prefix.
    match text.parse::<AllowedIps>() {
        Ok(allowed_ips) if allowed_ips.to_string() == text => Ok(allowed_ips),
        _ => Err("stored addresses are an ascending list of IP addresses and prefixes".into()),
    }
}

/// A new record with its columns encoded. Encoding it on the caller's thread saves time on the
/// writer's.
pub(crate) struct NewRow {
    pub(crate) key: Key,
    permissions: String,
    allowed_ips: Option<String>,
    hash: String,
    tag: Tag,
    alias: Option<Alias>,
    version: i64,
}

impl NewRow {
    pub(crate) fn new(record: &Record) -> rusqlite::Result<Self> {
        Ok(Self {
            key: record.key.clone(),
            permissions: record.key.permissions.to_string(),
            allowed_ips: record.key.allowed_ips.as_ref().map(AllowedIps::to_string),
            hash: record.credential.hash.to_string(),
            tag: record.credential.tag,
            alias: record.alias,
            version: version(record)?,
        })
    }

    pub(crate) fn insert(&self, connection: &Connection) -> rusqlite::Result<()> {
        self.write(connection, INSERT)
    }

    /// Inserts the row, or replaces the one with the same id.
    pub(crate) fn replace(&self, connection: &Connection) -> rusqlite::Result<()> {
        self.write(connection, REPLACE)
    }

    fn write(&self, connection: &Connection, sql: &str) -> rusqlite::Result<()> {
        let key = &self.key;
        connection.prepare_cached(sql)?.execute(params![
            key.id.as_bytes(),
            key.workspace.as_str(),
            environment_number(key.environment),
            key.owner.as_ref().map(Owner::as_str),
            key.name.as_str(),
            self.permissions,
            key.metadata.as_ref().map(Metadata::as_json),
            key.attributes.as_ref().map(Attributes::as_json),
            key.enabled,
            self.allowed_ips,
            key.parent.as_ref().map(KeyId::as_bytes),
            key.successor.as_ref().map(KeyId::as_bytes),
            key.predecessor.as_ref().map(KeyId::as_bytes),
            key.rotated_by.as_ref().map(KeyId::as_bytes),
            key.expires_at.map(Timestamp::as_millis),
            key.revoked_at.map(Timestamp::as_millis),
            key.last_used_at.map(Timestamp::as_millis),
            self.alias.as_ref().map(Alias::as_bytes),
            self.hash,
            self.tag.as_bytes(),
            self.version,
        ])?;
        Ok(())
    }
}

/// Encodes the version.
pub(crate) fn version(record: &Record) -> rusqlite::Result<i64> {
    i64::try_from(record.version)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}
