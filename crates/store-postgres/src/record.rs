//! Records as rows of the table `keys`.

use std::error::Error as StdError;

use keywright_core::{
    AllowedIps, Attributes, Environment, Key, KeyId, Metadata, Name, Owner, Permissions, Timestamp,
    Workspace,
    store::{Credential, Record, StoredHash, Tag, fold_case},
};
use serde::Serialize;
use sqlx::{Decode, Postgres, Row, Type, postgres::PgRow};

use crate::error::{Error, Result};

/// The columns of a record, which [`record`] reads by name.
pub(crate) const COLUMNS: &str = "id, workspace, test, owner, name, permissions, enabled, \
     allowed_ips, parent, successor, predecessor, rotated_by, expires_at, revoked_at, \
     last_used_at, hash, tag, version, metadata, attributes";

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
    let tag = cell(row, "tag", |bytes: Vec<u8>| {
        let tag: [u8; 8] = bytes.try_into().map_err(|_| "a tag has 8 bytes")?;
        Ok(Tag::from_bytes(tag))
    })?;
    let mut record = Record::new(key(row)?, Credential::new(hash, tag));
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

/// A row to be written. Absent columns are null.
#[derive(Serialize)]
pub(crate) struct RecordRow<'r> {
    id: String,
    workspace: &'r str,
    test: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'r str>,
    name: &'r str,
    folded_name: String,
    permissions: String,
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_ips: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    successor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    predecessor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotated_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<i64>,
    hash: String,
    /// In hexadecimal, as PostgreSQL reads bytes.
    tag: String,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<&'r str>,
}

impl<'r> RecordRow<'r> {
    pub(crate) fn new(record: &'r Record) -> Self {
        let key = &record.key;
        Self {
            id: id_text(&key.id),
            workspace: key.workspace.as_str(),
            test: key.environment == Environment::Test,
            owner: key.owner.as_ref().map(Owner::as_str),
            name: key.name.as_str(),
            folded_name: fold_case(key.name.as_str()),
            permissions: key.permissions.to_string(),
            enabled: key.enabled,
            allowed_ips: key.allowed_ips.as_ref().map(AllowedIps::to_string),
            parent: key.parent.as_ref().map(id_text),
            successor: key.successor.as_ref().map(id_text),
            predecessor: key.predecessor.as_ref().map(id_text),
            rotated_by: key.rotated_by.as_ref().map(id_text),
            expires_at: key.expires_at.map(Timestamp::as_millis),
            revoked_at: key.revoked_at.map(Timestamp::as_millis),
            hash: record.credential.hash.to_string(),
            tag: format!("\\x{}", hex(record.credential.tag.as_bytes())),
            version: record.version,
            metadata: key.metadata.as_ref().map(Metadata::as_json),
            attributes: key.attributes.as_ref().map(Attributes::as_json),
        }
    }
}

/// Returns rows as an expression of the type `json`, to be part of a statement. It contains the
/// text of callers only in hexadecimal, so none of it can end the literal.
pub(crate) fn json_literal(rows: &impl Serialize) -> Result<String> {
    let json = serde_json::to_vec(rows).map_err(Error::corrupt)?;
    Ok(format!(
        "convert_from(decode('{}', 'hex'), 'UTF8')::json",
        hex(&json)
    ))
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied();
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .flatten()
        .collect()
}
