//! Peppers: keys that are kept outside the database, so that the database alone is not enough to
//! verify a secret.

use std::{collections::BTreeMap, fmt, sync::Arc};

use zeroize::Zeroizing;

/// The id of a pepper in stored hashes: 1 to 8 characters of `a-z0-9`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PepperId(Box<str>);

impl PepperId {
    /// Parses an id.
    ///
    /// # Errors
    ///
    /// [`PepperError::Id`] unless the text is 1 to 8 characters of `a-z0-9`.
    pub fn parse(text: &str) -> Result<Self, PepperError> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if (1..=8).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(PepperError::Id)
        }
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PepperId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

crate::text::parsed_text!(PepperId, PepperError);

/// A pepper: an id, and a key of 32 to 64 bytes that is wiped from memory on drop.
pub struct Pepper {
    id: PepperId,
    key: Zeroizing<Vec<u8>>,
}

impl Pepper {
    /// The shortest key, in bytes.
    pub const MIN_LENGTH: usize = 32;
    /// The longest key, in bytes.
    pub const MAX_LENGTH: usize = 64;

    /// Creates a pepper.
    ///
    /// # Errors
    ///
    /// [`PepperError::Length`] if the key has fewer than 32 or more than 64 bytes.
    pub fn new(id: PepperId, key: &[u8]) -> Result<Self, PepperError> {
        if !(Self::MIN_LENGTH..=Self::MAX_LENGTH).contains(&key.len()) {
            return Err(PepperError::Length);
        }
        Ok(Self {
            id,
            key: Zeroizing::new(key.to_vec()),
        })
    }

    pub(super) const fn id(&self) -> &PepperId {
        &self.id
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pepper")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
static_assertions::assert_not_impl_any!(
    Pepper: fmt::Display, Clone, PartialEq, std::hash::Hash, serde::Serialize, std::ops::Deref,
    AsRef<[u8]>, Into<Vec<u8>>
);

/// The peppers that stored hashes may use. New hashes use the newest pepper, or none if the ring is
/// empty. Hashes with any pepper of the ring verify.
#[derive(Clone, Debug, Default)]
pub struct PepperRing {
    peppers: BTreeMap<PepperId, Arc<Pepper>>,
    newest: Option<PepperId>,
}

impl PepperRing {
    /// Adds a pepper, which becomes the newest.
    ///
    /// # Errors
    ///
    /// [`PepperError::Duplicate`] if the ring already has a pepper with this id.
    pub fn with_newest(mut self, pepper: Pepper) -> Result<Self, PepperError> {
        let id = pepper.id.clone();
        if self.peppers.contains_key(&id) {
            return Err(PepperError::Duplicate);
        }
        self.peppers.insert(id.clone(), Arc::new(pepper));
        self.newest = Some(id);
        Ok(self)
    }

    /// Iterates over all peppers of the ring.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Pepper>> {
        self.peppers.values()
    }

    /// Returns the id of the pepper for new hashes.
    pub(crate) const fn newest(&self) -> Option<&PepperId> {
        self.newest.as_ref()
    }
}

/// An error from parsing a pepper or adding it to a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PepperError {
    /// The id is not 1 to 8 characters of `a-z0-9`.
    #[error("the id of a pepper must be 1 to 8 characters of a-z and 0-9")]
    Id,
    /// The key has fewer than 32 or more than 64 bytes.
    #[error("the key of a pepper must have 32 to 64 bytes")]
    Length,
    /// The ring already has a pepper with this id.
    #[error("two peppers have the same id")]
    Duplicate,
}
