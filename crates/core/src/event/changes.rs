//! The fields of a key that a change has changed.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{AllowedIps, Key, Name, Permissions, Timestamp};

/// The fields of a key that changed, with their values before and after the change. Fields that
/// did not change are `None` or `false`.
///
/// As JSON, this is an object with a member for each field that changed: an array of the values
/// before and after, or `"changed"` for `metadata` and `attributes`, whose values are not recorded.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Changes {
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Transition<Name>>,
    /// The permissions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Transition<Permissions>>,
    /// Whether the key is not paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<Transition<bool>>,
    /// The time from which the key is rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Transition<Timestamp>>,
    /// When the key was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Transition<Timestamp>>,
    /// The addresses from which the key may be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_ips: Option<Transition<AllowedIps>>,
    /// Whether the metadata changed.
    #[serde(with = "changed", skip_serializing_if = "is_false")]
    pub metadata: bool,
    /// Whether the attributes changed.
    #[serde(with = "changed", skip_serializing_if = "is_false")]
    pub attributes: bool,
}

/// The values of a field before and after a change. `None` is a field without a value, such as the
/// expiry of a key that never expires, and each field of a key before its creation.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a transition has two sides")]
pub struct Transition<T> {
    /// The value before the change.
    pub before: Option<T>,
    /// The value after the change.
    pub after: Option<T>,
}

impl<T: PartialEq + Clone> Transition<T> {
    /// Returns the transition between two values, or `None` if they are equal.
    fn between(before: Option<&T>, after: Option<&T>) -> Option<Self> {
        (before != after).then(|| Self {
            before: before.cloned(),
            after: after.cloned(),
        })
    }
}

impl Changes {
    /// Returns the changes between two states of a key.
    #[must_use]
    pub fn between(before: &Key, after: &Key) -> Self {
        Self {
            name: Transition::between(Some(&before.name), Some(&after.name)),
            permissions: Transition::between(Some(&before.permissions), Some(&after.permissions)),
            enabled: Transition::between(Some(&before.enabled), Some(&after.enabled)),
            expires_at: Transition::between(before.expires_at.as_ref(), after.expires_at.as_ref()),
            revoked_at: Transition::between(before.revoked_at.as_ref(), after.revoked_at.as_ref()),
            allowed_ips: Transition::between(
                before.allowed_ips.as_ref(),
                after.allowed_ips.as_ref(),
            ),
            metadata: before.metadata != after.metadata,
            attributes: before.attributes != after.attributes,
        }
    }

    /// Returns the settings of a new key that are not the default.
    #[must_use]
    pub fn of_new(key: &Key) -> Self {
        Self {
            name: Transition::between(None, Some(&key.name)),
            permissions: Transition::between(None, Some(&key.permissions)),
            enabled: Transition::between(Some(&true), Some(&key.enabled)),
            expires_at: Transition::between(None, key.expires_at.as_ref()),
            revoked_at: Transition::between(None, key.revoked_at.as_ref()),
            allowed_ips: Transition::between(None, key.allowed_ips.as_ref()),
            metadata: key.metadata.is_some(),
            attributes: key.attributes.is_some(),
        }
    }

    /// Whether no field changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl<T: Serialize> Serialize for Transition<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.before, &self.after).serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Transition<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (before, after) = Deserialize::deserialize(deserializer)?;
        Ok(Self { before, after })
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_false(changed: &bool) -> bool {
    !*changed
}

/// A field whose values are not recorded.
mod changed {
    use super::{Deserialize, Deserializer, Serializer, de};

    const CHANGED: &str = "changed";

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]
    pub(super) fn serialize<S: Serializer>(_: &bool, serializer: S) -> Result<S::Ok, S::Error> {
        // A field that did not change is skipped.
        serializer.serialize_str(CHANGED)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<bool, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == CHANGED {
            Ok(true)
        } else {
            Err(de::Error::custom("expected \"changed\""))
        }
    }
}
