//! An update of a key's settings.

use crate::{AllowedIps, Key, Metadata, Name, Permissions, Timestamp};

/// An update of a key's settings. Settings that it does not name keep their values.
///
/// ```
/// use keywright_core::{KeyUpdate, Timestamp};
///
/// let paused = KeyUpdate::new().with_enabled(false);
/// let narrowed = KeyUpdate::new()
///     .with_permissions("calls:read".parse()?)
///     .with_expires_at(Timestamp::parse("2030-01-01T00:00:00Z")?)
///     .without_allowed_ips();
/// # assert_ne!(paused, narrowed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct KeyUpdate {
    /// The new name. `None` keeps the current name.
    pub name: Option<Name>,
    /// The new permissions, which the caller must cover. `None` keeps the current permissions.
    pub permissions: Option<Permissions>,
    /// The change of the metadata.
    pub metadata: Change<Metadata>,
    /// `false` pauses the key, and `true` resumes it. `None` does neither.
    pub enabled: Option<bool>,
    /// The change of the expiry.
    pub expires_at: Change<Timestamp>,
    /// The change of the allowed addresses.
    pub allowed_ips: Change<AllowedIps>,
    /// The version that the record must have. `None` accepts any version.
    pub if_version: Option<u64>,
}

impl KeyUpdate {
    /// Creates an update that changes nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            name: None,
            permissions: None,
            metadata: Change::Keep,
            enabled: None,
            expires_at: Change::Keep,
            allowed_ips: Change::Keep,
            if_version: None,
        }
    }

    /// Renames the key.
    #[must_use]
    pub fn with_name(mut self, name: Name) -> Self {
        self.name = Some(name);
        self
    }

    /// Replaces the permissions.
    #[must_use]
    pub fn with_permissions(mut self, permissions: Permissions) -> Self {
        self.permissions = Some(permissions);
        self
    }

    /// Replaces the metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = Change::Set(metadata);
        self
    }

    /// Removes the metadata.
    #[must_use]
    pub fn without_metadata(mut self) -> Self {
        self.metadata = Change::Clear;
        self
    }

    /// Pauses or resumes the key.
    #[must_use]
    pub const fn with_enabled(mut self, enabled: bool) -> Self {
        self.enabled = Some(enabled);
        self
    }

    /// Sets when the key expires.
    #[must_use]
    pub fn with_expires_at(mut self, expires_at: Timestamp) -> Self {
        self.expires_at = Change::Set(expires_at);
        self
    }

    /// Removes the expiry. The key then expires with the caller or at the end of the [maximum
    /// lifetime](crate::Config::with_max_lifetime), whichever is earlier, or never if neither
    /// applies.
    #[must_use]
    pub fn without_expires_at(mut self) -> Self {
        self.expires_at = Change::Clear;
        self
    }

    /// Allows the key to be used only from these addresses.
    #[must_use]
    pub fn with_allowed_ips(mut self, allowed_ips: AllowedIps) -> Self {
        self.allowed_ips = Change::Set(allowed_ips);
        self
    }

    /// Allows the key to be used from every address from which the caller may be used.
    #[must_use]
    pub fn without_allowed_ips(mut self) -> Self {
        self.allowed_ips = Change::Clear;
        self
    }

    /// Makes the update conditional: it fails unless the record has this version.
    #[must_use]
    pub const fn if_version(mut self, version: u64) -> Self {
        self.if_version = Some(version);
        self
    }

    /// Whether the update names no setting.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let unconditional = Self {
            if_version: None,
            ..self.clone()
        };
        unconditional == Self::new()
    }
}

/// A change of an optional setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a setting is kept, set or removed, and nothing else"
)]
pub enum Change<T> {
    /// Keeps the current value.
    #[default]
    Keep,
    /// Sets a value.
    Set(T),
    /// Removes the value.
    Clear,
}

impl<T: Clone> Change<T> {
    /// Returns the value after the change.
    #[must_use]
    pub fn apply(&self, current: Option<T>) -> Option<T> {
        match self {
            Self::Keep => current,
            Self::Set(value) => Some(value.clone()),
            Self::Clear => None,
        }
    }
}

impl Key {
    /// Returns the key after an update. Checks neither the caller nor the maximum lifetime.
    #[must_use]
    pub fn apply(&self, update: &KeyUpdate) -> Self {
        let key = self.clone();
        Self {
            name: update.name.clone().unwrap_or(key.name),
            permissions: update.permissions.clone().unwrap_or(key.permissions),
            metadata: update.metadata.apply(key.metadata),
            enabled: update.enabled.unwrap_or(key.enabled),
            expires_at: update.expires_at.apply(key.expires_at),
            allowed_ips: update.allowed_ips.apply(key.allowed_ips),
            ..key
        }
    }
}

/// A key and the version of its record. Two reads of a key that return the same version return the
/// same settings.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct VersionedKey {
    /// The key.
    pub key: Key,
    /// 1 for a new key, and 1 more after each update, rotation and revocation, and after each
    /// replacement of the hash.
    pub version: u64,
}

impl VersionedKey {
    /// Creates a key with this version.
    #[must_use]
    pub const fn new(key: Key, version: u64) -> Self {
        Self { key, version }
    }
}
