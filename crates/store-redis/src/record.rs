//! A record as one string of bytes, and back.
//!
//! | place | bytes | what |
//! | --- | --- | --- |
//! | 0 | 1 | the format: 1 |
//! | 1 | 1 | the environment: 0 is live, 1 is test |
//! | 2 | 8 | the version of the record |
//! | 10 | 8 | when it expires, in Unix milliseconds; all ones: never |
//! | 18 | 8 | when it was revoked; all ones: it was not |
//! | 26 | 16 | the id of its parent; all zeros: none |
//! | 42 | 16 | the id of its successor; all zeros: none |
//! | 58 | 8 | the tag |
//! | 66 | 1 and n | the length of the workspace, and the workspace |
//! | | 2 and n | the same of the name |
//! | | 2 and n | of the permissions, with commas between |
//! | | 2 and n | of the stored hash |
//! | | 2 and n | of the metadata; all ones and nothing: none |
//!
//! Numbers are big-endian. The id is in the record's name. One record has one spelling.
//!
//! A single zero byte stands for a key that was never made and never will be: its parent had noted it
//! and was revoked with all its descendants before there was a record.

use std::{error, fmt};

use keywright_core::{
    Credential, Environment, Key, KeyId, Metadata, Name, Permissions, Record, StoredHash, Tag,
    Timestamp, Workspace,
};

/// The format that this program writes.
pub(crate) const FORMAT: u8 = 1;

/// Stands for a key that will never be made.
const GONE: &[u8] = &[0];

const NO_TIME: u64 = u64::MAX;
const NO_ID: [u8; KeyId::LENGTH] = [0; KeyId::LENGTH];
const NO_METADATA: u16 = u16::MAX;

/// What is stored under the name of a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Stored {
    Record(Box<Record>),
    Gone,
}

/// What cannot be read back as a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// A newer program has written it.
    Format(u8),
    /// It ends too soon, or goes on after its end.
    Length,
    /// This field holds something that is never written.
    Field(&'static str),
}

/// Writes a time, or that there is none, which is later than all times.
pub(crate) fn time(time: Option<Timestamp>) -> [u8; 8] {
    time.map_or(NO_TIME, |time| time.as_millis().unsigned_abs())
        .to_be_bytes()
}

/// Writes a record. `None` if a field is longer than the format allows; none that core makes is.
pub(crate) fn write(record: &Record) -> Option<Vec<u8>> {
    let Record {
        key,
        credential,
        version,
        ..
    } = record;
    let id = |id: Option<KeyId>| id.map_or(NO_ID, |id| *id.as_bytes());
    let mut bytes = Vec::with_capacity(256);
    bytes.push(FORMAT);
    bytes.push(match key.environment {
        Environment::Live => 0,
        Environment::Test => 1,
    });
    bytes.extend(version.to_be_bytes());
    bytes.extend(time(key.expires_at));
    bytes.extend(time(key.revoked_at));
    bytes.extend(id(key.parent));
    bytes.extend(id(key.successor));
    bytes.extend(credential.tag.as_bytes());
    let workspace = key.workspace.as_str();
    bytes.push(u8::try_from(workspace.len()).ok()?);
    bytes.extend(workspace.as_bytes());
    write_text(&mut bytes, key.name.as_str())?;
    write_text(&mut bytes, &key.permissions.to_string())?;
    write_text(&mut bytes, &credential.hash.to_string())?;
    match &key.metadata {
        Some(metadata) => write_text(&mut bytes, metadata.as_json())?,
        None => bytes.extend(NO_METADATA.to_be_bytes()),
    }
    Some(bytes)
}

fn write_text(bytes: &mut Vec<u8>, text: &str) -> Option<()> {
    let length = u16::try_from(text.len())
        .ok()
        .filter(|length| *length != NO_METADATA)?;
    bytes.extend(length.to_be_bytes());
    bytes.extend(text.as_bytes());
    Some(())
}

/// Reads what is stored under the name of this id. The time of last use is not in it.
pub(crate) fn read(id: KeyId, bytes: &[u8]) -> Result<Stored, Unreadable> {
    if bytes == GONE {
        return Ok(Stored::Gone);
    }
    let mut rest = Rest(bytes);
    let (head, fixed) = Head::read(&mut rest)?;
    let text = rest.short_text("name")?;
    // `parse` would also take one with white space around it, which is never written.
    let name = Name::parse(text)
        .ok()
        .filter(|name| name.as_str() == text)
        .ok_or(Unreadable::Field("name"))?;
    let text = rest.short_text("permissions")?;
    let permissions = text
        .parse::<Permissions>()
        .ok()
        .filter(|permissions| permissions.to_string() == text)
        .ok_or(Unreadable::Field("permissions"))?;
    let hash =
        StoredHash::parse(rest.short_text("hash")?).map_err(|_| Unreadable::Field("hash"))?;
    let metadata = match u16::from_be_bytes(rest.array()?) {
        NO_METADATA => None,
        length => Some(
            Metadata::parse(rest.text("metadata", length.into())?)
                .map_err(|_| Unreadable::Field("metadata"))?,
        ),
    };
    if !rest.0.is_empty() {
        return Err(Unreadable::Length);
    }
    let mut key = Key::new(id, head.workspace, head.environment, name, permissions);
    key.metadata = metadata;
    key.parent = head.parent;
    key.successor = head.successor;
    key.expires_at = fixed.expires_at;
    key.revoked_at = head.revoked_at;
    let mut record = Record::new(key, Credential::new(hash, fixed.tag));
    record.version = fixed.version;
    Ok(Stored::Record(Box::new(record)))
}

/// A successor as it stands in a record.
pub(crate) fn successor(id: Option<KeyId>) -> [u8; KeyId::LENGTH] {
    id.map_or(NO_ID, |id| *id.as_bytes())
}

/// What a record begins with: enough to purge it, also where the rest is damaged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    pub(crate) environment: Environment,
    pub(crate) revoked_at: Option<Timestamp>,
    pub(crate) parent: Option<KeyId>,
    pub(crate) successor: Option<KeyId>,
    pub(crate) workspace: Workspace,
}

/// Reads no more than that.
pub(crate) fn head(bytes: &[u8]) -> Result<Head, Unreadable> {
    let mut rest = Rest(bytes);
    Head::read(&mut rest).map(|(head, _)| head)
}

/// What of the head is none of its fields.
struct Fixed {
    version: u64,
    expires_at: Option<Timestamp>,
    tag: Tag,
}

impl Head {
    fn read(rest: &mut Rest<'_>) -> Result<(Self, Fixed), Unreadable> {
        match rest.array::<1>()? {
            [FORMAT] => {}
            [0] => return Err(Unreadable::Field("format")),
            [newer] => return Err(Unreadable::Format(newer)),
        }
        let environment = match rest.array::<1>()? {
            [0] => Environment::Live,
            [1] => Environment::Test,
            _ => return Err(Unreadable::Field("environment")),
        };
        let version = u64::from_be_bytes(rest.array()?);
        let expires_at = rest.time("expiry")?;
        let revoked_at = rest.time("revocation")?;
        let parent = rest.id("parent")?;
        let successor = rest.id("successor")?;
        let tag = Tag::from_bytes(rest.array()?);
        let [length] = rest.array()?;
        let workspace = Workspace::parse(rest.text("workspace", length.into())?)
            .map_err(|_| Unreadable::Field("workspace"))?;
        let head = Self {
            environment,
            revoked_at,
            parent,
            successor,
            workspace,
        };
        let fixed = Fixed {
            version,
            expires_at,
            tag,
        };
        Ok((head, fixed))
    }
}

/// What of the bytes has not been read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Unreadable::Length)?;
        self.0 = rest;
        Ok(*array)
    }

    fn text(&mut self, field: &'static str, length: usize) -> Result<&'a str, Unreadable> {
        let (text, rest) = self.0.split_at_checked(length).ok_or(Unreadable::Length)?;
        self.0 = rest;
        str::from_utf8(text).map_err(|_| Unreadable::Field(field))
    }

    fn short_text(&mut self, field: &'static str) -> Result<&'a str, Unreadable> {
        let length = u16::from_be_bytes(self.array()?);
        self.text(field, length.into())
    }

    fn time(&mut self, field: &'static str) -> Result<Option<Timestamp>, Unreadable> {
        match u64::from_be_bytes(self.array()?) {
            NO_TIME => Ok(None),
            millis => i64::try_from(millis)
                .ok()
                .and_then(|millis| Timestamp::from_millis(millis).ok())
                .map(Some)
                .ok_or(Unreadable::Field(field)),
        }
    }

    fn id(&mut self, field: &'static str) -> Result<Option<KeyId>, Unreadable> {
        match self.array()? {
            NO_ID => Ok(None),
            id => KeyId::from_bytes(&id)
                .map(Some)
                .map_err(|_| Unreadable::Field(field)),
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(found) => write!(
                f,
                "the record has format {found} since a newer program wrote it, and this one knows {FORMAT}"
            ),
            Self::Length => f.write_str("the record is cut off or goes on after its end"),
            Self::Field(field) => write!(f, "the {field} of the record is none"),
        }
    }
}

impl error::Error for Unreadable {}

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
        Record::new(key, Credential::new(hash, Tag::from_bytes([7; 8])))
    }

    fn full() -> Record {
        let mut record = plain();
        let other = KeyId::parse("key_zzzzzzzzzzzzzzzz").unwrap();
        record.version = 300;
        record.key.expires_at = Some(Timestamp::MAX);
        record.key.revoked_at = Some(Timestamp::from_millis(0).unwrap());
        record.key.parent = Some(other);
        record.key.successor = Some(id());
        record.key.metadata = Some(Metadata::parse(r#"{"a":1}"#).unwrap());
        record
    }

    #[test]
    fn what_is_written_is_read_back() {
        for record in [plain(), full()] {
            let bytes = write(&record).unwrap();
            assert_eq!(read(id(), &bytes), Ok(Stored::Record(Box::new(record))));
        }
        assert_eq!(read(id(), GONE), Ok(Stored::Gone));
    }

    #[test]
    fn the_layout_stays_as_it_is() {
        let expected = [
            b"\x01\x01\0\0\0\0\0\0\x01\x2c\0\0\xe6\x77\xd2\x1f\xdb\xff\0\0\0\0\0\0\0\0".as_slice(),
            b"zzzzzzzzzzzzzzzz0U5lKtf600000000\x07\x07\x07\x07\x07\x07\x07\x07\x04acme\0\x02CI",
            b"\0\x0acalls:read\0\x4f",
            HASH.as_bytes(),
            b"\0\x07{\"a\":1}",
        ]
        .concat();
        assert_eq!(write(&full()).unwrap(), expected);
    }

    #[test]
    fn a_record_of_a_newer_format_is_told_from_a_damaged_one() {
        let mut bytes = write(&plain()).unwrap();
        bytes[0] = 2;
        assert_eq!(read(id(), &bytes), Err(Unreadable::Format(2)));
        bytes[0] = 0;
        assert_eq!(read(id(), &bytes), Err(Unreadable::Field("format")));
        let whole = write(&full()).unwrap();
        for length in 0..whole.len() {
            assert!(read(id(), &whole[..length]).is_err(), "{length}");
        }
    }
}
