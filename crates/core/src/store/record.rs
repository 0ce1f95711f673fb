//! The record of a key, its changes, and the rules by which a store makes them.

use super::{alias::Alias, error::StoreErrorKind};
use crate::{
    AllowedIps, Attributes, KeyId, Metadata, Name, Permissions, Timestamp,
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
/// use keywright_core::{Name, Timestamp, store::{Record, Settings, StoreErrorKind}};
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
/// #     Record::new(key, Credential::new(hash, Tag::from_bytes([0; Tag::LENGTH])))
/// # });
/// let mut record: Record = read()?;
/// let version = record.version;
/// let mut paused = Settings::from(&record.key);
/// paused.enabled = false;
///
/// assert_eq!(record.update(version, paused.clone()), Ok(()));
/// assert!(!record.key.enabled);
///
/// // The record no longer has the version that another caller read.
/// let conflict = record.update(version, paused.clone());
/// assert_eq!(conflict, Err(StoreErrorKind::Conflict));
///
/// // A revoked key stays as it is.
/// assert!(record.revoke(Timestamp::from_millis(1_709_287_200_000)?));
/// let revoked = record.update(record.version, paused);
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
    /// The second name of a key that was [imported](Key::imported), by which the verifier finds it
    /// (clause 18). It never changes. `None` for any other key.
    pub alias: Option<Alias>,
    /// 1 when inserted, and 1 more after each update, rehash, rotation and revocation.
    pub version: u64,
}

impl Record {
    /// Creates the record of a new key.
    #[must_use]
    pub const fn new(key: Key, credential: Credential) -> Self {
        Self {
            key,
            credential,
            alias: None,
            version: 1,
        }
    }

    /// Creates the record of a key that another system issued.
    #[must_use]
    pub const fn imported(mut key: Key, credential: Credential, alias: Alias) -> Self {
        key.imported = true;
        Self {
            key,
            credential,
            alias: Some(alias),
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

    /// Replaces the settings of the key (clause 7).
    ///
    /// # Errors
    ///
    /// Those of [`check_version`](Self::check_version), and `Corrupt` if no version follows this
    /// one.
    pub fn update(&mut self, version: u64, settings: Settings) -> Result<(), StoreErrorKind> {
        self.version = self.version_after(version)?;
        let Settings {
            name,
            permissions,
            metadata,
            attributes,
            enabled,
            expires_at,
            allowed_ips,
        } = settings;
        let key = &mut self.key;
        key.name = name;
        key.permissions = permissions;
        key.metadata = metadata;
        key.attributes = attributes;
        key.enabled = enabled;
        key.expires_at = expires_at;
        key.allowed_ips = allowed_ips;
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

/// The settings of a key, which an update replaces together. The other fields of a key never
/// change, or change only when it is rotated, revoked or used.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The display name.
    pub name: Name,
    /// The permissions.
    pub permissions: Permissions,
    /// The client's notes.
    pub metadata: Option<Metadata>,
    /// The host's own data.
    pub attributes: Option<Attributes>,
    /// Whether the key is not paused.
    pub enabled: bool,
    /// The time from which the key is rejected.
    pub expires_at: Option<Timestamp>,
    /// The addresses from which the key may be used.
    pub allowed_ips: Option<AllowedIps>,
}

impl From<&Key> for Settings {
    fn from(key: &Key) -> Self {
        let key = key.clone();
        Self {
            name: key.name,
            permissions: key.permissions,
            metadata: key.metadata,
            attributes: key.attributes,
            enabled: key.enabled,
            expires_at: key.expires_at,
            allowed_ips: key.allowed_ips,
        }
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
