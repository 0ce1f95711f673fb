//! The record of a key, its changes, and the rules by which a store makes them.

use super::error::StoreErrorKind;
use crate::{
    KeyId, Metadata, Name, Timestamp,
    hash::Credential,
    key::{Key, Status},
};

/// A key's record in a store: the key, the hash of its secret, and a version. It never contains a
/// token.
///
/// Its methods are the rules of the [contract](crate::store::KeyStore#the-contract) that concern
/// one record. Each checks whether the change is allowed, and either makes it or leaves the record
/// untouched and returns the error that the contract requires. A store that can run Rust inside a
/// transaction reads the record, calls the method, and writes the record back:
///
/// ```
/// use keywright_core::{Name, store::{Record, StoreErrorKind}, Rename, Timestamp};
///
/// # use keywright_core::{Environment, Key, KeyId, Permissions, Workspace};
/// # use keywright_core::store::{Credential, StoredHash, Tag};
/// # const HASH: &str = "$hmac-sha256$AAECAwQFBgcICQoLDA0ODw$\
/// #     AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
/// # let key = Key::new(
/// #     KeyId::parse("key_0U5lKtf600000000")?,
/// #     Workspace::parse("default")?,
/// #     Environment::Live,
/// #     Name::parse("CI")?,
/// #     Permissions::all(),
/// # );
/// # let read = || StoredHash::parse(HASH).map(|hash| {
/// #     Record::new(key, Credential::new(hash, Tag::from_bytes([0; 8])))
/// # });
/// let mut record: Record = read()?;
/// let version = record.version;
/// let to_name = |name| Name::parse(name).map(|name| Rename::new(Some(name), None));
///
/// assert_eq!(record.rename(version, to_name("deploy")?), Ok(()));
/// assert_eq!(record.key.name.as_str(), "deploy");
///
/// // The record no longer has the version that another caller read.
/// let conflict = record.rename(version, to_name("nightly")?);
/// assert_eq!(conflict, Err(StoreErrorKind::Conflict));
///
/// // A revoked key stays as it is.
/// assert!(record.revoke(Timestamp::from_millis(1_709_287_200_000)?));
/// let revoked = record.rename(record.version, to_name("nightly")?);
/// assert_eq!(revoked, Err(StoreErrorKind::NotFound));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`Key::admits`] is the rule for the parent of a new key and for the caller of a rotation.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Record {
    /// The key.
    pub key: Key,
    /// The hash of the key's secret.
    pub credential: Credential,
    /// 1 when inserted, and 1 more after each rename, rehash, rotation and revocation.
    pub version: u64,
}

impl Record {
    /// Creates the record of a new key.
    #[must_use]
    pub const fn new(key: Key, credential: Credential) -> Self {
        Self {
            key,
            credential,
            version: 1,
        }
    }

    /// Checks that the key is not revoked and that the record still has the version that was read.
    ///
    /// # Errors
    ///
    /// `NotFound` if the key is revoked. `Conflict` if the record has another version.
    pub const fn check_version(&self, version: u64) -> Result<(), StoreErrorKind> {
        if self.key.revoked_at.is_some() {
            Err(StoreErrorKind::NotFound)
        } else if self.version != version {
            Err(StoreErrorKind::Conflict)
        } else {
            Ok(())
        }
    }

    /// Replaces the name, the metadata, or both, as `rename` specifies (clause 7).
    ///
    /// # Errors
    ///
    /// Those of [`check_version`](Self::check_version), and `Corrupt` if no version follows this
    /// one.
    pub fn rename(&mut self, version: u64, rename: Rename) -> Result<(), StoreErrorKind> {
        self.version = self.version_after(version)?;
        if let Some(name) = rename.name {
            self.key.name = name;
        }
        if let Some(metadata) = rename.metadata {
            self.key.metadata = Some(metadata);
        }
        Ok(())
    }

    /// Replaces the hash of the secret (clause 7).
    ///
    /// # Errors
    ///
    /// Those of [`check_version`](Self::check_version), and `Corrupt` if no version follows this
    /// one.
    pub fn rehash(&mut self, version: u64, credential: Credential) -> Result<(), StoreErrorKind> {
        self.version = self.version_after(version)?;
        self.credential = credential;
        Ok(())
    }

    /// Retires the key in favour of `successor` (clause 2): links the two, and revokes the key or
    /// lets it expire. The key never expires later than it would have without the rotation.
    ///
    /// # Errors
    ///
    /// Those of [`check_version`](Self::check_version), `Conflict` if the key was rotated before or
    /// has expired at `now`, and `Corrupt` if no version follows this one.
    pub fn retire(
        &mut self,
        version: u64,
        retire: Retire,
        successor: KeyId,
        now: Timestamp,
    ) -> Result<(), StoreErrorKind> {
        let next = self.version_after(version)?;
        let key = &mut self.key;
        if key.successor.is_some() || key.status(now) != Status::Active {
            return Err(StoreErrorKind::Conflict);
        }
        match retire {
            Retire::Now => key.revoked_at = Some(now),
            Retire::At(end) => {
                key.expires_at = Some(key.expires_at.map_or(end, |current| current.min(end)));
            }
        }
        key.successor = Some(successor);
        self.version = next;
        Ok(())
    }

    /// Revokes the key, and returns whether this changed anything (clause 5): an earlier revocation
    /// keeps its time.
    pub const fn revoke(&mut self, now: Timestamp) -> bool {
        if self.key.revoked_at.is_some() {
            return false;
        }
        self.key.revoked_at = Some(now);
        // No update of a revoked record compares versions, so this one need not be unique.
        self.version = self.version.saturating_add(1);
        true
    }

    /// Moves `last_used_at` forward to `time`, never back (clause 8). The version stays.
    pub fn touch(&mut self, time: Timestamp) {
        self.key.last_used_at = self.key.last_used_at.max(Some(time));
    }

    /// Returns the version that follows the one that was read.
    fn version_after(&self, version: u64) -> Result<u64, StoreErrorKind> {
        self.check_version(version)?;
        version.checked_add(1).ok_or(StoreErrorKind::Corrupt)
    }
}

/// A change of the name, the metadata, or both.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Rename {
    /// The new name. `None` keeps the current name.
    pub name: Option<Name>,
    /// The new metadata. `None` keeps the current metadata.
    pub metadata: Option<Metadata>,
}

impl Rename {
    /// Creates a change that replaces the values that are not `None`.
    #[must_use]
    pub const fn new(name: Option<Name>, metadata: Option<Metadata>) -> Self {
        Self { name, metadata }
    }
}

/// When a rotated key stops being valid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a store must handle each; a third is a new contract"
)]
pub enum Retire {
    /// Immediately: the key is revoked.
    Now,
    /// The key expires at this time, or at its own expiry if that is earlier.
    At(Timestamp),
}
