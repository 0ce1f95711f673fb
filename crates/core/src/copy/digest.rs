//! The digest of the content of a workspace.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::{
    AllowedIps, Attributes, Environment, Event, Key, KeyId, Metadata, Owner, Timestamp,
    store::{Credential, Record, StoreErrorKind},
};

/// A SHA-256 digest over every field of the records and the events of a workspace. Its text is 64
/// hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ContentDigest([u8; 32]);

impl ContentDigest {
    /// Returns the bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentDigest({self})")
    }
}

/// A digest of records and events that are added in the order of their ids.
///
/// Each text is preceded by its length, and each optional field by whether it is present, so that
/// different contents never have the same input.
pub(crate) struct ContentHasher(Sha256);

impl ContentHasher {
    pub(crate) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(crate) fn finish(self) -> ContentDigest {
        ContentDigest(self.0.finalize().into())
    }

    pub(crate) fn add_record(&mut self, record: &Record) {
        let Record {
            key,
            credential: Credential { hash, tag },
            alias,
            version,
        } = record;
        let Key {
            id,
            workspace,
            environment,
            owner,
            name,
            permissions,
            metadata,
            attributes,
            enabled,
            allowed_ips,
            parent,
            successor,
            predecessor,
            rotated_by,
            // The alias says the same.
            imported: _,
            expires_at,
            revoked_at,
            last_used_at,
        } = key;
        self.0.update(b"k");
        self.text(id.as_bytes());
        self.text(workspace.as_str().as_bytes());
        self.flag(*environment == Environment::Test);
        self.text(name.as_str().as_bytes());
        self.text(permissions.to_string().as_bytes());
        self.flag(*enabled);
        self.text(hash.to_string().as_bytes());
        self.text(tag.as_bytes());
        self.0.update(version.to_le_bytes());
        self.optional(alias.as_ref().map(|alias| &alias.as_bytes()[..]));
        let allowed_ips = allowed_ips.as_ref().map(AllowedIps::to_string);
        for text in [
            owner.as_ref().map(Owner::as_str),
            metadata.as_ref().map(Metadata::as_json),
            attributes.as_ref().map(Attributes::as_json),
            allowed_ips.as_deref(),
        ] {
            self.optional(text.map(str::as_bytes));
        }
        for id in [parent, successor, predecessor, rotated_by] {
            self.optional(id.as_ref().map(|id: &KeyId| &id.as_bytes()[..]));
        }
        for time in [expires_at, revoked_at, last_used_at] {
            let millis = time.map(|time: Timestamp| time.as_millis().to_le_bytes());
            self.optional(millis.as_ref().map(|bytes| &bytes[..]));
        }
    }

    /// # Errors
    ///
    /// `Corrupt` if the event has no JSON text.
    pub(super) fn add_event(&mut self, event: &Event) -> Result<(), StoreErrorKind> {
        let json = serde_json::to_vec(event).map_err(|_| StoreErrorKind::Corrupt)?;
        self.0.update(b"e");
        self.text(&json);
        Ok(())
    }

    fn text(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn flag(&mut self, flag: bool) {
        self.0.update([u8::from(flag)]);
    }

    fn optional(&mut self, bytes: Option<&[u8]>) {
        self.flag(bytes.is_some());
        if let Some(bytes) = bytes {
            self.text(bytes);
        }
    }
}
