//! A token that another system may have issued.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{base62, token::Secret};

/// A token that matches a [format](super::ForeignFormat). Its parts are secret: they borrow the
/// client's bytes, and can be neither printed nor compared.
#[derive(Clone, Copy)]
pub(crate) struct ForeignToken<'a> {
    /// The position of the format among the configured ones.
    pub(super) format: u8,
    /// The part that identifies a key: tokens that differ elsewhere are the same token.
    pub(super) identity: &'a [u8],
    /// The part of the identity that the other system hashed.
    pub(super) hashed: &'a [u8],
}

impl<'a> ForeignToken<'a> {
    /// Returns the part that the other system hashed.
    pub(crate) const fn hashed_part(&self) -> &'a [u8] {
        self.hashed
    }

    /// Returns the format and the part that identifies a key.
    pub(crate) const fn identity(&self) -> (u8, &'a [u8]) {
        (self.format, self.identity)
    }

    /// Derives the secret that is hashed in place of the token after its first use.
    pub(crate) fn secret(&self) -> Secret {
        let mut digest = Zeroizing::new([0; 32]);
        let mut hasher = Sha256::new_with_prefix(b"keywright: the secret of a foreign token\0");
        hasher.update(self.identity);
        hasher.finalize_into((&mut *digest).into());
        Secret::copied(&base62::encode_256(digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The derivation can never change: the hashes in the stores depend on it. The answer was
    /// computed with `hashlib` of Python 3.11.
    #[test]
    fn the_derived_secret_is_a_known_answer() {
        let token = ForeignToken {
            format: 0,
            identity: b"old_4eC39HqLyjWDarjtT1zdp7dc",
            hashed: b"dc",
        };
        let expected = b"qIOOv3M8gtgCfsHp5enP0YW3dbObxK4B0EUJlB5zN7D";
        assert!(token.secret().expose() == expected);
    }
}
