//! HMAC-SHA-256, of whole hashes and of tags.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{Binding, StoredHash, Tag};
use crate::token::{KeyId, Secret};

/// What the first byte of an HMAC's input tells apart.
const HASH: [u8; 1] = [1];
const TAG: [u8; 1] = [2];

/// The key of the HMACs that are made without a pepper: it is public and separates them from those
/// of anything else.
const NO_PEPPER: &[u8] = b"keywright";

/// An HMAC whose key has been taken in.
#[derive(Clone)]
pub(super) struct Keyed(Hmac<Sha256>);

#[cfg(test)]
crate::secrecy::assert_unprintable!(Keyed);

impl Keyed {
    pub(super) fn new(pepper: Option<&[u8]>) -> Self {
        #[expect(clippy::expect_used, reason = "an HMAC takes a key of any length")]
        let mac =
            KeyInit::new_from_slice(pepper.unwrap_or(NO_PEPPER)).expect("a key of any length");
        Self(mac)
    }

    pub(super) fn hash(
        &self,
        binding: &Binding,
        salt: &[u8; StoredHash::SALT_LENGTH],
        secret: &[u8; Secret::LENGTH],
    ) -> [u8; StoredHash::OUTPUT_LENGTH] {
        self.mac([&HASH, salt, binding.as_bytes(), secret])
    }

    pub(super) fn tag(&self, id: &KeyId, secret: &[u8; Secret::LENGTH]) -> Tag {
        let [a, b, c, d, e, f, g, h, ..] = self.mac([&TAG, id.as_bytes(), secret, &[]]);
        Tag::from_bytes([a, b, c, d, e, f, g, h])
    }

    /// Each part has a length of its own that never varies, but for the first byte's doing.
    fn mac(&self, parts: [&[u8]; 4]) -> [u8; 32] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}
