//! The public id of a key.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use crate::{Timestamp, base62, random::Generator};

/// The public id of a key: 16 base62 characters.
///
/// The first 8 are the time of creation (Unix milliseconds, big-endian), so the bytes of ids sort
/// by that time. 3 characters are the [routing tag](Self::routing_tag), and 5 are random.
///
/// A token and a store contain the 16 characters alone. Everywhere else, the id has the prefix
/// `key_`, which `Display` writes and [`parse`](Self::parse) requires.
///
/// ```
/// use keywright_core::KeyId;
///
/// let id = KeyId::parse("key_0U5lKtf600000000")?;
/// assert_eq!(id.created_at().to_string(), "2024-03-01T10:00:00.000Z");
/// # Ok::<(), keywright_core::error::KeyIdError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId([u8; KeyId::LENGTH]);

impl KeyId {
    /// The length in bytes, without `key_`.
    pub const LENGTH: usize = 16;

    /// The smallest id.
    pub(crate) const SMALLEST: Self = Self([b'0'; Self::LENGTH]);

    const TIME_LENGTH: usize = 8;
    const TAG_LENGTH: usize = 3;
    const PREFIX: &'static str = "key_";

    /// Generates an id for a key that is created now, with a new routing tag.
    pub(crate) fn generate(now: Timestamp, random: &mut Generator) -> Self {
        let mut tail = [0; Self::LENGTH - Self::TIME_LENGTH];
        random.fill_base62(&mut tail);
        Self::with_tail(now, tail)
    }

    /// Generates an id for the successor of this key. It keeps the routing tag, so that a store
    /// that distributes keys over machines keeps both on the same one.
    pub(crate) fn successor(&self, now: Timestamp, random: &mut Generator) -> Self {
        let mut tail = [0; Self::LENGTH - Self::TIME_LENGTH];
        random.fill_base62(&mut tail);
        for (target, character) in tail.iter_mut().zip(self.routing_tag()) {
            *target = *character;
        }
        Self::with_tail(now, tail)
    }

    fn with_tail(now: Timestamp, tail: [u8; Self::LENGTH - Self::TIME_LENGTH]) -> Self {
        let time: [u8; Self::TIME_LENGTH] = base62::encode(now.as_millis().unsigned_abs());
        let mut id = [0; Self::LENGTH];
        for (target, character) in id.iter_mut().zip(time.iter().chain(&tail)) {
            *target = *character;
        }
        Self(id)
    }

    /// Parses `key_` followed by 16 base62 characters.
    ///
    /// # Errors
    ///
    /// [`KeyIdError`] for any other text.
    pub fn parse(text: &str) -> Result<Self, KeyIdError> {
        let bare = text.strip_prefix(Self::PREFIX).ok_or(KeyIdError)?;
        Self::from_bytes(bare.as_bytes())
    }

    /// Parses the 16 characters without `key_`, as a token and a store contain them.
    ///
    /// # Errors
    ///
    /// [`KeyIdError`] if `bytes` are not 16 base62 characters.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyIdError> {
        let id: [u8; Self::LENGTH] = bytes.try_into().map_err(|_| KeyIdError)?;
        if base62::is_base62(&id) {
            Ok(Self(id))
        } else {
            Err(KeyIdError)
        }
    }

    /// Returns the smallest id of a key that was created at this time.
    pub(crate) fn first_at(time: Timestamp) -> Self {
        Self::with_tail(time, [b'0'; Self::LENGTH - Self::TIME_LENGTH])
    }

    /// Creates an id from characters that the caller has checked.
    pub(super) const fn of_base62(characters: [u8; Self::LENGTH]) -> Self {
        Self(characters)
    }

    /// Returns the 16 ASCII characters without `key_`.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// Returns the routing tag: three random characters that let a store place related keys on the
    /// same machine. A new key gets a new tag, and a successor has the tag of its predecessor.
    #[must_use]
    pub fn routing_tag(&self) -> &[u8] {
        self.0
            .get(Self::TIME_LENGTH..Self::TIME_LENGTH + Self::TAG_LENGTH)
            .unwrap_or_default()
    }

    /// Writes the 16 characters without `key_`.
    pub(crate) fn fmt_bare(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|&byte| fmt::Write::write_char(f, char::from(byte)))
    }

    /// Returns the time at which the key was created.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        let time = self.0.get(..Self::TIME_LENGTH).and_then(base62::decode);
        // The largest number of eight base62 digits is in the year 8889, which `Timestamp` can
        // hold.
        time.and_then(|millis| i64::try_from(millis).ok())
            .and_then(|millis| Timestamp::from_millis(millis).ok())
            .unwrap_or(Timestamp::MAX)
    }
}

impl Hash for KeyId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // All ids have the same length, so the length is not hashed.
        state.write_u128(u128::from_ne_bytes(self.0));
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::PREFIX)?;
        self.fmt_bare(f)
    }
}

crate::text::parsed_text!(KeyId, KeyIdError);

/// An error from parsing a [`KeyId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key id must be key_ followed by 16 ASCII letters and digits")]
#[non_exhaustive]
pub struct KeyIdError;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::OsEntropy;

    #[test]
    fn ids_sort_by_time_of_creation() {
        let mut random = Generator::seeded(&OsEntropy).unwrap();
        let ids: Vec<KeyId> = [0, 1, 61, 62, 1_709_287_200_000, 253_402_300_799_999 / 2]
            .map(|millis| KeyId::generate(Timestamp::from_millis(millis).unwrap(), &mut random))
            .to_vec();
        assert!(ids.is_sorted());
        assert_eq!(ids[4].created_at().as_millis(), 1_709_287_200_000);
    }

    #[test]
    fn a_successor_keeps_the_routing_tag_and_nothing_else() {
        let mut random = Generator::seeded(&OsEntropy).unwrap();
        let now = Timestamp::from_millis(1_709_287_200_000).unwrap();
        let first = KeyId::generate(now, &mut random);
        let second = first.successor(now, &mut random);
        assert_eq!(first.routing_tag(), second.routing_tag());
        assert_eq!(first.routing_tag().len(), 3);
        assert_ne!(first, second);
    }

    #[test]
    fn an_id_has_only_one_spelling() {
        let text = "key_0U5lKtf600000000";
        assert_eq!(KeyId::parse(text).unwrap().to_string(), text);
        for bad in [
            "",
            "key_",
            "0U5lKtf600000000",
            "key_0U5lKtf60000000",
            "key_0U5lKtf6000000000",
            "KEY_0U5lKtf600000000",
            "key_0U5lKtf6000-0000",
            "key_0U5lKtf60000000é",
        ] {
            assert!(KeyId::parse(bad).is_err(), "{bad}");
        }
    }
}
