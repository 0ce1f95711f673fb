//! HMAC-SHA-256 for hashes and tags.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{binding::Binding, credential::Tag, stored::NativeHash};
use crate::token::Secret;

/// The first byte of the input of a hash.
const HASH: [u8; 1] = [1];

/// The first byte of the input of a tag.
const TAG: [u8; 1] = [2];

/// The HMAC key if there is no pepper. It is public, and separates these HMACs from those of other
/// programs.
const NO_PEPPER: &[u8] = b"keywright";

/// An HMAC that has absorbed its key.
#[derive(Clone)]
pub(super) struct KeyedHmac(Hmac<Sha256>);

#[cfg(test)]
crate::secrecy::assert_unprintable!(KeyedHmac);

impl KeyedHmac {
    pub(super) fn new(pepper: Option<&[u8]>) -> Self {
        #[expect(clippy::expect_used, reason = "an HMAC takes a key of any length")]
        let mac =
            KeyInit::new_from_slice(pepper.unwrap_or(NO_PEPPER)).expect("a key of any length");
        Self(mac)
    }

    pub(super) fn hash(
        &self,
        binding: &Binding,
        salt: &[u8; NativeHash::SALT_LENGTH],
        secret: &[u8; Secret::LENGTH],
    ) -> [u8; NativeHash::OUTPUT_LENGTH] {
        self.mac([&HASH, salt, binding.as_bytes(), secret])
    }

    pub(super) fn tag(&self, binding: &Binding, secret: &[u8; Secret::LENGTH]) -> Tag {
        let mac = self.mac([&TAG, binding.as_bytes(), secret, &[]]);
        let mut first = [0; Tag::LENGTH];
        for (byte, of_mac) in first.iter_mut().zip(mac) {
            *byte = of_mac;
        }
        Tag::from_bytes(first)
    }

    /// Computes the HMAC of the concatenated parts. The first part determines the lengths of the
    /// others, so different parts never have the same concatenation.
    fn mac(&self, parts: [&[u8]; 4]) -> [u8; 32] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}
