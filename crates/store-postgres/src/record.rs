//! Records as rows of the table `keys`.

use std::error::Error as StdError;

use keywright_core::{
    AllowedIps, Attributes, Environment, Key, KeyId, Metadata, Name, Owner, Permissions, Timestamp,
    Workspace,
    store::{Alias, Credential, Record, StoredHash, Tag, fold_case},
};
use sqlx::{Decode, Postgres, Row, Type, postgres::PgRow};

use crate::{
    error::{Error, Result},
    values::{Values, bytes, text},
};

/// The columns of a record, which [`record`] reads by name.
pub(crate) const COLUMNS: &str = "id, workspace, test, owner, name, permissions, enabled, \
     allowed_ips, parent, successor, predecessor, rotated_by, expires_at, revoked_at, \
     last_used_at, encode(alias, 'hex') AS alias, hash, encode(tag, 'hex') AS tag, version, \
     metadata, attributes";

type InvalidValue = Box<dyn StdError + Send + Sync>;

/// Reads the id of a row, even if other columns are damaged.
pub(crate) fn id(row: &PgRow) -> Result<KeyId> {
    cell(row, "id", |text: String| {
        Ok(KeyId::from_bytes(text.as_bytes())?)
    })
}

/// Reads a whole record.
pub(crate) fn record(row: &PgRow) -> Result<Record> {
    let hash = cell(row, "hash", |text: String| Ok(StoredHash::parse(&text)?))?;
    let tag = cell(row, "tag", tag)?;
    let mut record = Record::new(key(row)?, Credential::new(hash, tag));
    record.alias = alias(row)?;
    record.version = cell(row, "version", |version: i64| Ok(u64::try_from(version)?))?;
    Ok(record)
}

/// Reads the columns of a key.
pub(crate) fn key(row: &PgRow) -> Result<Key> {
    let mut key = Key::new(
        id(row)?,
        cell(row, "workspace", |text: String| {
            Ok(Workspace::parse(&text)?)
        })?,
        cell(row, "test", |test| Ok(environment(test)))?,
        cell(row, "name", name)?,
        cell(row, "permissions", |text: String| {
            Ok(text.parse::<Permissions>()?)
        })?,
    );
    key.owner = optional(row, "owner", |text: String| Ok(Owner::parse(&text)?))?;
    key.enabled = cell(row, "enabled", Ok)?;
    key.allowed_ips = optional(row, "allowed_ips", allowed_ips)?;
    key.parent = optional(row, "parent", key_id)?;
    key.successor = optional(row, "successor", key_id)?;
    key.predecessor = optional(row, "predecessor", key_id)?;
    key.rotated_by = optional(row, "rotated_by", key_id)?;
    key.expires_at = optional(row, "expires_at", time)?;
    key.revoked_at = optional(row, "revoked_at", time)?;
    key.last_used_at = optional(row, "last_used_at", time)?;
    key.imported = alias(row)?.is_some();
    key.metadata = optional(row, "metadata", |text: String| Ok(Metadata::parse(&text)?))?;
    key.attributes = optional(row, "attributes", |text: String| {
        Ok(Attributes::parse(&text)?)
    })?;
    Ok(key)
}

/// Reads a column with `read`.
fn cell<'r, D, T>(
    row: &'r PgRow,
    column: &str,
    read: impl FnOnce(D) -> Result<T, InvalidValue>,
) -> Result<T>
where
    D: Decode<'r, Postgres> + Type<Postgres>,
{
    read(row.try_get(column)?).map_err(Error::corrupt)
}

/// Reads a column that may be null.
fn optional<'r, D, T>(
    row: &'r PgRow,
    column: &str,
    read: impl FnOnce(D) -> Result<T, InvalidValue>,
) -> Result<Option<T>>
where
    D: Decode<'r, Postgres> + Type<Postgres>,
{
    match row.try_get::<Option<D>, _>(column)? {
        None => Ok(None),
        Some(value) => read(value).map(Some).map_err(Error::corrupt),
    }
}

/// Reads the alias of a row, even if other columns are damaged.
pub(crate) fn alias(row: &PgRow) -> Result<Option<Alias>> {
    optional(row, "alias", |hex: String| {
        Ok(Alias::from_bytes(from_hex(&hex)?))
    })
}

fn tag(hex: String) -> Result<Tag, InvalidValue> {
    Ok(Tag::from_bytes(from_hex(&hex)?))
}

/// Reads bytes in lower-case hexadecimal digits. The text format of `bytea` depends on a setting of
/// the role.
pub(crate) fn from_hex<const N: usize>(hex: &str) -> Result<[u8; N], InvalidValue> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err("not a hexadecimal digit"),
    };
    let (pairs, []) = hex.as_bytes().as_chunks::<2>() else {
        return Err("an odd number of digits".into());
    };
    let bytes = pairs
        .iter()
        .map(|[high, low]| Ok(digit(*high)? << 4 | digit(*low)?));
    let bytes: Vec<u8> = bytes.collect::<Result<_, InvalidValue>>()?;
    Ok(bytes.try_into().map_err(|_| "another number of bytes")?)
}

fn key_id(text: String) -> Result<KeyId, InvalidValue> {
    Ok(KeyId::from_bytes(text.as_bytes())?)
}

fn time(millis: i64) -> Result<Timestamp, InvalidValue> {
    Ok(Timestamp::from_millis(millis)?)
}

/// Reads a name. `Name::parse` trims white space, which a stored name does not have.
fn name(text: String) -> Result<Name, InvalidValue> {
    let name = Name::parse(&text)?;
    if name.as_str() == text {
        Ok(name)
    } else {
        Err("a stored name has no surrounding white space".into())
    }
}

/// Reads allowed addresses. Parsing accepts any order, duplicates and mapped addresses, none of
/// which a stored set has.
fn allowed_ips(text: String) -> Result<AllowedIps, InvalidValue> {
    // The error of a prefix with host bits is not returned, because it repeats the prefix.
    match text.parse::<AllowedIps>() {
        Ok(allowed_ips) if allowed_ips.to_string() == text => Ok(allowed_ips),
        _ => Err("stored addresses are an ascending list of IP addresses and prefixes".into()),
    }
}

const fn environment(test: bool) -> Environment {
    if test {
        Environment::Test
    } else {
        Environment::Live
    }
}

/// Returns an id as the tables contain it.
pub(crate) fn id_text(id: &KeyId) -> String {
    id.as_bytes().iter().copied().map(char::from).collect()
}

/// The columns that a change writes.
const WRITTEN: [&str; 21] = [
    "id",
    "workspace",
    "test",
    "owner",
    "name",
    "folded_name",
    "permissions",
    "enabled",
    "allowed_ips",
    "parent",
    "successor",
    "predecessor",
    "rotated_by",
    "expires_at",
    "revoked_at",
    "alias",
    "hash",
    "tag",
    "version",
    "metadata",
    "attributes",
];

/// Returns records as rows to be written.
pub(crate) fn rows<'r>(records: impl Iterator<Item = &'r Record>) -> Values<21> {
    let id = |id: &Option<KeyId>| id.as_ref().map(|id| text(&id_text(id)));
    let time = |time: Option<Timestamp>| time.map(|time| time.as_millis().to_string());
    let row = |record: &'r Record| {
        let Record {
            key,
            credential,
            alias,
            version,
            ..
        } = record;
        [
            Some(text(&id_text(&key.id))),
            Some(text(key.workspace.as_str())),
            Some((key.environment == Environment::Test).to_string()),
            key.owner.as_ref().map(|owner| text(owner.as_str())),
            Some(text(key.name.as_str())),
            Some(text(&fold_case(key.name.as_str()))),
            Some(text(&key.permissions.to_string())),
            Some(key.enabled.to_string()),
            key.allowed_ips.as_ref().map(|ips| text(&ips.to_string())),
            id(&key.parent),
            id(&key.successor),
            id(&key.predecessor),
            id(&key.rotated_by),
            time(key.expires_at),
            time(key.revoked_at),
            alias.as_ref().map(|alias| bytes(alias.as_bytes())),
            Some(text(&credential.hash.to_string())),
            Some(bytes(credential.tag.as_bytes())),
            Some(version.to_string()),
            key.metadata
                .as_ref()
                .map(|metadata| text(metadata.as_json())),
            key.attributes
                .as_ref()
                .map(|attributes| text(attributes.as_json())),
        ]
    };
    Values::new(WRITTEN, records.map(row).collect())
}
