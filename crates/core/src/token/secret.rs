//! The secret of a key.

use zeroize::Zeroizing;

use crate::{base62, random::Generator};

/// The secret part of a token: 43 base62 characters, 256 bits.
///
/// It is wiped from memory on drop and has no `Debug`, `Display`, `Clone`, `PartialEq` or
/// `Serialize`. Only [`expose`](Self::expose) gives access to the characters.
// Boxed, because a move would leave behind a copy that is never wiped.
#[expect(missing_debug_implementations, reason = "a secret is never printed")]
pub struct Secret(Box<Zeroizing<[u8; Secret::LENGTH]>>);

impl Secret {
    /// The length, in characters.
    pub const LENGTH: usize = 43;

    /// Generates a secret.
    pub(crate) fn generate(random: &mut Generator) -> Self {
        let mut secret = Self::blank();
        random.fill_base62(&mut secret.0[..]);
        secret
    }

    /// Allocates a secret, to be filled in place.
    fn blank() -> Self {
        Self(Box::new(Zeroizing::new([b'0'; Self::LENGTH])))
    }

    /// Copies the characters of a parsed secret.
    pub(crate) fn copied(characters: &[u8; Self::LENGTH]) -> Self {
        debug_assert!(base62::is_base62(characters));
        let mut secret = Self::blank();
        secret.0.copy_from_slice(characters);
        secret
    }

    /// Returns the characters, as ASCII. The caller must keep them out of logs and storage.
    #[must_use]
    pub fn expose(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}
