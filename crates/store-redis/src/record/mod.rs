//! The binary encoding of records.
//!
//! | position | bytes | field |
//! | --- | --- | --- |
//! | 0 | 1 | format: 1 |
//! | 1 | 1 | environment: 0 is live, 1 is test |
//! | 2 | 1 | 1 if the key is enabled, 0 if it is disabled |
//! | 3 | 8 | version of the record |
//! | 11 | 8 | time of expiry, in Unix milliseconds, or all ones if the key never expires |
//! | 19 | 8 | time of revocation, in Unix milliseconds, or all ones if the key is not revoked |
//! | 27 | 16 | id of the parent, or all zeros |
//! | 43 | 16 | id of the successor, or all zeros |
//! | 59 | 16 | id of the predecessor, or all zeros |
//! | 75 | 16 | id of the key that rotated the predecessor, or all zeros |
//! | 91 | 16 | tag |
//! | 107 | 1 | length of the workspace |
//! | 108 | 1 | length of the owner, or 0 if there is none |
//! | 109 | n | workspace |
//! | | n | owner |
//! | | 2 + n | length of the name, and the name |
//! | | 2 + n | length of the permissions, and the permissions, separated by commas |
//! | | 2 + n | length of the stored hash, and the stored hash |
//! | | 2 + n | length of the metadata, and the metadata |
//! | | 2 + n | length of the attributes, and the attributes |
//! | | 2 + n | length of the allowed addresses, and the addresses, separated by commas |
//! | | 2 + n | length of the alias, and the alias in lower-case hexadecimal digits |
//!
//! The length of a text that the key does not have is all ones.
//!
//! Numbers are big-endian. The key's id is not encoded: the record's name contains it. Each record
//! has exactly one encoding.
//!
//! A single zero byte is a tombstone. It takes the place of a record that must never be inserted,
//! because its receiver registered the key and was then revoked with all its descendants, before
//! the record was written. A purge stores tombstones for the same reason, with a time to live of a
//! day.

pub(crate) mod layout;

use std::fmt::Write as _;

use keywright_core::{
    AllowedIps, Attributes, Environment, Key, KeyId, Metadata, Name, Owner, Permission,
    Permissions, Timestamp, Workspace,
    store::{Alias, Credential, Record, StoredHash, Tag},
};

use self::layout::{FORMAT_VERSION, Field, IS_ENABLED, NO_TEXT, NO_TIME, TOMBSTONE};

const NO_ID: [u8; KeyId::LENGTH] = [0; KeyId::LENGTH];

/// The decoded value under the name of a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Stored {
    Record(Box<Record>),
    Tombstone,
}

/// An error for a stored value that is not a valid record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// A newer program wrote the record.
    #[error(
        "the record has format {0} and this program supports {FORMAT_VERSION}: use a newer program"
    )]
    Format(u8),
    /// The value is shorter or longer than its fields.
    #[error("the record is truncated or has trailing bytes")]
    Length,
    /// The field has a value that this program never writes.
    #[error("the record has an invalid {0}")]
    Field(&'static str),
}

/// Encodes a time. An absent time is later than all times.
pub(crate) fn encode_time(time: Option<Timestamp>) -> [u8; 8] {
    time.map_or(NO_TIME, |time| time.as_millis().unsigned_abs())
        .to_be_bytes()
}

/// Encodes the id of a related key.
pub(crate) fn encode_id(id: Option<KeyId>) -> [u8; KeyId::LENGTH] {
    id.map_or(NO_ID, |id| *id.as_bytes())
}

/// Encodes a record. Returns `None` if a field is longer than the format allows, which no valid
/// field is.
pub(crate) fn encode(record: &Record) -> Option<Vec<u8>> {
    let Record {
        key,
        credential,
        alias,
        version,
        ..
    } = record;
    let mut bytes = Vec::with_capacity(256);
    bytes.push(FORMAT_VERSION);
    bytes.push(match key.environment {
        Environment::Live => 0,
        Environment::Test => 1,
    });
    bytes.push(if key.enabled { IS_ENABLED } else { 0 });
    bytes.extend(version.to_be_bytes());
    bytes.extend(encode_time(key.expires_at));
    bytes.extend(encode_time(key.revoked_at));
    bytes.extend(encode_id(key.parent));
    bytes.extend(encode_id(key.successor));
    bytes.extend(encode_id(key.predecessor));
    bytes.extend(encode_id(key.rotated_by));
    bytes.extend(credential.tag.as_bytes());
    let workspace = key.workspace.as_str();
    let owner = key.owner.as_ref().map_or("", Owner::as_str);
    for text in [workspace, owner] {
        bytes.push(u8::try_from(text.len()).ok()?);
    }
    bytes.extend(workspace.as_bytes());
    bytes.extend(owner.as_bytes());
    let addresses = key.allowed_ips.as_ref().map(AllowedIps::to_string);
    for text in [
        Some(key.name.as_str()),
        Some(&key.permissions.to_string()),
        Some(&credential.hash.to_string()),
        key.metadata.as_ref().map(Metadata::as_json),
        key.attributes.as_ref().map(Attributes::as_json),
        addresses.as_deref(),
        alias.as_ref().map(hex).as_deref(),
    ] {
        encode_text(&mut bytes, text)?;
    }
    Some(bytes)
}

/// Returns an alias in lower-case hexadecimal digits.
pub(crate) fn hex(alias: &Alias) -> String {
    let mut digits = String::with_capacity(2 * Alias::LENGTH);
    for byte in alias.as_bytes() {
        // Writing to a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

fn parse_alias(digits: &str) -> Option<Alias> {
    let mut bytes = [0; Alias::LENGTH];
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else {
        return None;
    };
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    let alias = Alias::from_bytes(bytes);
    // Other spellings are not canonical.
    (hex(&alias) == digits).then_some(alias)
}

fn encode_text(bytes: &mut Vec<u8>, text: Option<&str>) -> Option<()> {
    let Some(text) = text else {
        bytes.extend(NO_TEXT.to_be_bytes());
        return Some(());
    };
    let length = u16::try_from(text.len())
        .ok()
        .filter(|length| *length != NO_TEXT)?;
    bytes.extend(length.to_be_bytes());
    bytes.extend(text.as_bytes());
    Some(())
}

/// Decodes the record of this id. The time of last use is stored elsewhere and left empty.
pub(crate) fn decode(id: KeyId, bytes: &[u8]) -> Result<Stored, DecodeError> {
    if bytes == TOMBSTONE {
        return Ok(Stored::Tombstone);
    }
    let (header, mut texts) = Header::read(bytes)?;
    let text = texts.next("name")?;
    // `parse` trims white space, which the encoding never contains.
    let name = Name::parse(text)
        .ok()
        .filter(|name| name.as_str() == text)
        .ok_or(DecodeError::Field("name"))?;
    let text = texts.next("permissions")?;
    let permissions = text
        .parse::<Permissions>()
        .ok()
        // `parse` accepts any order, and duplicates. Only the empty set has an empty part.
        .filter(|permissions| {
            let parts = text.split(',').filter(|part| !part.is_empty());
            parts.eq(permissions.iter().map(Permission::as_str))
        })
        .ok_or(DecodeError::Field("permissions"))?;
    let hash = StoredHash::parse(texts.next("hash")?).map_err(|_| DecodeError::Field("hash"))?;
    let metadata = texts.next_optional("metadata", |text| Metadata::parse(text).ok())?;
    let attributes = texts.next_optional("attributes", |text| Attributes::parse(text).ok())?;
    let allowed_ips = texts.next_optional("set of allowed addresses", |text| {
        // `parse` accepts any order and several notations.
        let parsed: AllowedIps = text.parse().ok()?;
        (parsed.to_string() == text).then_some(parsed)
    })?;
    let alias = texts.next_optional("alias", parse_alias)?;
    if !texts.0.is_empty() {
        return Err(DecodeError::Length);
    }
    let mut key = Key::new(id, header.workspace, header.environment, name, permissions);
    key.owner = header.owner;
    key.metadata = metadata;
    key.attributes = attributes;
    key.enabled = match read(bytes, layout::ENABLED)? {
        [IS_ENABLED] => true,
        [0] => false,
        _ => return Err(DecodeError::Field("enabled flag")),
    };
    key.allowed_ips = allowed_ips;
    key.parent = header.parent;
    key.successor = header.successor;
    key.predecessor = read_id(bytes, layout::PREDECESSOR, "predecessor")?;
    key.rotated_by = header.rotated_by;
    key.expires_at = header.expires_at;
    key.revoked_at = header.revoked_at;
    key.imported = alias.is_some();
    let tag = Tag::from_bytes(read(bytes, layout::TAG)?);
    let mut record = Record::new(key, Credential::new(hash, tag));
    record.alias = alias;
    record.version = u64::from_be_bytes(read(bytes, layout::VERSION)?);
    Ok(Stored::Record(Box::new(record)))
}

/// The fields of a record that a purge needs. They can be decoded even if the rest is damaged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    pub(crate) environment: Environment,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) revoked_at: Option<Timestamp>,
    pub(crate) parent: Option<KeyId>,
    pub(crate) successor: Option<KeyId>,
    pub(crate) rotated_by: Option<KeyId>,
    pub(crate) workspace: Workspace,
    pub(crate) owner: Option<Owner>,
}

/// Decodes the header only.
pub(crate) fn decode_header(bytes: &[u8]) -> Result<Header, DecodeError> {
    Header::read(bytes).map(|(header, _)| header)
}

impl Header {
    /// Returns the header and the texts that follow it.
    fn read(bytes: &[u8]) -> Result<(Self, Texts<'_>), DecodeError> {
        match read(bytes, layout::FORMAT)? {
            [FORMAT_VERSION] => {}
            [0] => return Err(DecodeError::Field("format")),
            [newer] => return Err(DecodeError::Format(newer)),
        }
        let environment = match read(bytes, layout::ENVIRONMENT)? {
            [0] => Environment::Live,
            [1] => Environment::Test,
            _ => return Err(DecodeError::Field("environment")),
        };
        let expires_at = read_time(bytes, layout::EXPIRES_AT, "time of expiry")?;
        let revoked_at = read_time(bytes, layout::REVOKED_AT, "time of revocation")?;
        let parent = read_id(bytes, layout::PARENT, "parent")?;
        let successor = read_id(bytes, layout::SUCCESSOR, "successor")?;
        let rotated_by = read_id(bytes, layout::ROTATED_BY, "rotated_by")?;
        let [workspace_length] = read(bytes, layout::WORKSPACE_LENGTH)?;
        let [owner_length] = read(bytes, layout::OWNER_LENGTH)?;
        let mut texts = Texts(bytes.get(layout::WORKSPACE..).ok_or(DecodeError::Length)?);
        let workspace = Workspace::parse(texts.take("workspace", workspace_length.into())?)
            .map_err(|_| DecodeError::Field("workspace"))?;
        let owner = match texts.take("owner", owner_length.into())? {
            "" => None,
            owner => Some(Owner::parse(owner).map_err(|_| DecodeError::Field("owner"))?),
        };
        let header = Self {
            environment,
            expires_at,
            revoked_at,
            parent,
            successor,
            rotated_by,
            workspace,
            owner,
        };
        Ok((header, texts))
    }
}

fn read<const N: usize>(bytes: &[u8], field: Field<N>) -> Result<[u8; N], DecodeError> {
    field.read(bytes).ok_or(DecodeError::Length)
}

fn read_time(
    bytes: &[u8],
    field: Field<8>,
    name: &'static str,
) -> Result<Option<Timestamp>, DecodeError> {
    match u64::from_be_bytes(read(bytes, field)?) {
        NO_TIME => Ok(None),
        millis => i64::try_from(millis)
            .ok()
            .and_then(|millis| Timestamp::from_millis(millis).ok())
            .map(Some)
            .ok_or(DecodeError::Field(name)),
    }
}

fn read_id(
    bytes: &[u8],
    field: Field<{ KeyId::LENGTH }>,
    name: &'static str,
) -> Result<Option<KeyId>, DecodeError> {
    match read(bytes, field)? {
        NO_ID => Ok(None),
        id => KeyId::from_bytes(&id)
            .map(Some)
            .map_err(|_| DecodeError::Field(name)),
    }
}

/// The part of a record after its fixed fields that is not read yet.
struct Texts<'a>(&'a [u8]);

impl<'a> Texts<'a> {
    /// Reads a text with its length.
    fn next(&mut self, field: &'static str) -> Result<&'a str, DecodeError> {
        let length = self.next_length()?;
        self.take(field, length.into())
    }

    /// Reads and parses a text that the key may not have.
    fn next_optional<T>(
        &mut self,
        field: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, DecodeError> {
        match self.next_length()? {
            NO_TEXT => Ok(None),
            length => parse(self.take(field, length.into())?)
                .map(Some)
                .ok_or(DecodeError::Field(field)),
        }
    }

    fn next_length(&mut self) -> Result<u16, DecodeError> {
        let (length, rest) = self.0.split_first_chunk().ok_or(DecodeError::Length)?;
        self.0 = rest;
        Ok(u16::from_be_bytes(*length))
    }

    fn take(&mut self, field: &'static str, length: usize) -> Result<&'a str, DecodeError> {
        let (text, rest) = self.0.split_at_checked(length).ok_or(DecodeError::Length)?;
        self.0 = rest;
        str::from_utf8(text).map_err(|_| DecodeError::Field(field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str =
        "$hmac-sha256$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    fn id() -> KeyId {
        KeyId::parse("key_0U5lKtf600000000").unwrap()
    }

    fn plain() -> Record {
        let key = Key::new(
            id(),
            Workspace::parse("acme").unwrap(),
            Environment::Test,
            Name::parse("CI").unwrap(),
            "calls:read".parse().unwrap(),
        );
        let hash = StoredHash::parse(HASH).unwrap();
        Record::new(
            key,
            Credential::new(hash, Tag::from_bytes([7; Tag::LENGTH])),
        )
    }

    fn full() -> Record {
        let mut record = plain();
        let other = KeyId::parse("key_zzzzzzzzzzzzzzzz").unwrap();
        record.version = 300;
        record.key.expires_at = Some(Timestamp::MAX);
        record.key.revoked_at = Some(Timestamp::from_millis(0).unwrap());
        record.key.parent = Some(other);
        record.key.successor = Some(id());
        record.key.predecessor = Some(KeyId::parse("key_0U5lKtf600before").unwrap());
        record.key.rotated_by = Some(KeyId::parse("key_0U5lKtf600Caller").unwrap());
        record.key.owner = Some(Owner::parse(r#"{"a","b"}"#).unwrap());
        record.key.metadata = Some(Metadata::parse(r#"{"a":1}"#).unwrap());
        record.key.attributes = Some(Attributes::parse(r#"{"plan":2}"#).unwrap());
        record.key.enabled = false;
        record.key.allowed_ips = Some("10.0.0.0/8,::1".parse().unwrap());
        record.key.imported = true;
        record.alias = Some(Alias::from_bytes([0xa7; Alias::LENGTH]));
        record
    }

    #[test]
    fn a_decoded_record_equals_the_encoded_one() {
        for record in [plain(), full()] {
            let bytes = encode(&record).unwrap();
            assert_eq!(decode(id(), &bytes), Ok(Stored::Record(Box::new(record))));
        }
        assert_eq!(decode(id(), TOMBSTONE), Ok(Stored::Tombstone));
    }

    #[test]
    fn the_encoding_does_not_change() {
        let expected = [
            b"\x01\x01\0\0\0\0\0\0\0\x01\x2c".as_slice(),
            b"\0\0\xe6\x77\xd2\x1f\xdb\xff\0\0\0\0\0\0\0\0",
            b"zzzzzzzzzzzzzzzz0U5lKtf6000000000U5lKtf600before0U5lKtf600Caller",
            &[7; 16],
            b"\x04\x09acme{\"a\",\"b\"}",
            b"\0\x02CI\0\x0acalls:read\0\x4f",
            HASH.as_bytes(),
            b"\0\x07{\"a\":1}\0\x0a{\"plan\":2}\0\x0e10.0.0.0/8,::1",
            b"\0\x40",
            "a7".repeat(32).as_bytes(),
        ]
        .concat();
        assert_eq!(encode(&full()).unwrap(), expected);
        let expected = [
            b"\x01\x01\x01\0\0\0\0\0\0\0\x01".as_slice(),
            &[0xff; 16],
            &[0; 64],
            &[7; 16],
            b"\x04\0acme",
            b"\0\x02CI\0\x0acalls:read\0\x4f",
            HASH.as_bytes(),
            &[0xff; 8],
        ]
        .concat();
        assert_eq!(encode(&plain()).unwrap(), expected);
    }

    #[test]
    fn a_newer_format_is_distinguished_from_damage() {
        let mut bytes = encode(&plain()).unwrap();
        bytes[0] = 2;
        assert_eq!(decode(id(), &bytes), Err(DecodeError::Format(2)));
        bytes[0] = 0;
        assert_eq!(decode(id(), &bytes), Err(DecodeError::Field("format")));
        let whole = encode(&full()).unwrap();
        for length in 0..whole.len() {
            assert!(decode(id(), &whole[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn a_value_that_no_program_writes_is_damage() {
        let whole = encode(&full()).unwrap();
        let with = |old: &[u8], new: &[u8]| {
            let start = whole.windows(old.len()).position(|part| part == old);
            let mut bytes = whole.clone();
            let start = start.unwrap();
            bytes.splice(start..start + old.len(), new.iter().copied());
            decode(id(), &bytes).unwrap_err()
        };
        let at = |position: usize, byte: u8| {
            let mut bytes = whole.clone();
            bytes[position] = byte;
            decode(id(), &bytes).unwrap_err()
        };
        let [environment, enabled] =
            [layout::ENVIRONMENT, layout::ENABLED].map(|field| field.range().start);
        let [parent, predecessor] =
            [layout::PARENT, layout::PREDECESSOR].map(|field| field.range().start);
        let addresses = "set of allowed addresses";
        for (error, field) in [
            (at(environment, 2), "environment"),
            (at(enabled, 2), "enabled flag"),
            (at(layout::EXPIRES_AT.range().start, 1), "time of expiry"),
            (
                at(layout::REVOKED_AT.range().start, 1),
                "time of revocation",
            ),
            (at(parent, b'-'), "parent"),
            (at(predecessor, b'-'), "predecessor"),
            (with(b"acme", b"ac e"), "workspace"),
            (with(b"{\"a\",", b"{\"a\" "), "owner"),
            (with(b"\0\x02CI", b"\0\x02 I"), "name"),
            (with(b"calls:read", b"calls read"), "permissions"),
            // Neither another order nor a duplicate is accepted.
            (with(b"calls:read", b"b:read,a:r"), "permissions"),
            (with(b"\0\x0acalls:read", b"\0\x09a:re,a:re"), "permissions"),
            (with(b"calls:read", b"a:re,,a:rf"), "permissions"),
            (with(b"calls:read", b"calls:rea,"), "permissions"),
            (with(b"$hmac", b"$mac_"), "hash"),
            (with(b"\0\x07{\"a\"", b"\0\x07[\"a\""), "metadata"),
            (with(b"{\"plan\"", b"[\"plan\""), "attributes"),
            // Neither an address that is written differently nor another order is accepted.
            (with(b"10.0.0.0/8,::1", b"10.0.0.1/8,::1"), addresses),
            (with(b"10.0.0.0/8,::1", b"::1,10.0.0.0/8"), addresses),
            (with(b"\0\x0e10.0.0.0/8,::1", b"\0\0"), addresses),
            (with(b"a7a7", b"A7a7"), "alias"),
            (with(b"\0\x40a7", b"\0\x3e"), "alias"),
        ] {
            assert_eq!(error, DecodeError::Field(field));
        }
    }

    #[test]
    fn each_field_is_at_its_position() {
        let bytes = encode(&full()).unwrap();
        let at = |range: std::ops::Range<usize>| &bytes[range];
        let end = Timestamp::MAX.as_millis().to_be_bytes();
        assert_eq!(at(layout::FORMAT.range()), [FORMAT_VERSION]);
        assert_eq!(at(layout::ENVIRONMENT.range()), [1]);
        assert_eq!(at(layout::ENABLED.range()), [0]);
        assert_eq!(at(layout::VERSION.range()), 300_u64.to_be_bytes());
        assert_eq!(at(layout::EXPIRES_AT.range()), end);
        assert_eq!(at(layout::REVOKED_AT.range()), [0; 8]);
        assert_eq!(at(layout::PARENT.range()), b"zzzzzzzzzzzzzzzz");
        assert_eq!(at(layout::SUCCESSOR.range()), b"0U5lKtf600000000");
        assert_eq!(at(layout::PREDECESSOR.range()), b"0U5lKtf600before");
        assert_eq!(at(layout::ROTATED_BY.range()), b"0U5lKtf600Caller");
        assert_eq!(at(layout::TAG.range()), [7; 16]);
        assert_eq!(at(layout::WORKSPACE_LENGTH.range()), [4]);
        assert_eq!(at(layout::OWNER_LENGTH.range()), [9]);
        let variable = &bytes[layout::WORKSPACE..];
        let texts = variable.strip_prefix(b"acme{\"a\",\"b\"}").unwrap();
        let mut texts = Texts(texts);
        for _ in 0..layout::TEXTS {
            texts.next("text").unwrap();
        }
        assert!(texts.0.is_empty());
    }
}
