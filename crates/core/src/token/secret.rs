//! The secret of a key.

use zeroize::Zeroizing;

use crate::{base62, random::Generator};

/// The secret part of a token: 43 base62 characters, 256 bits. It is wiped from memory on drop and
/// has no `Debug`, `Display`, `Clone`, `PartialEq` or `Serialize`; the one way to the characters is
/// [`expose`](Self::expose).
#[expect(missing_debug_implementations, reason = "a secret is never printed")]
pub struct Secret(Zeroizing<[u8; Secret::LENGTH]>);

impl Secret {
    /// Length in characters.
    pub const LENGTH: usize = 43;

    pub(crate) fn generate(random: &mut Generator) -> Self {
        Self(Zeroizing::new(random.base62()))
    }

    /// Copies the characters of a secret that was parsed.
    pub(crate) fn copied(characters: &[u8; Self::LENGTH]) -> Self {
        debug_assert!(base62::is_base62(characters));
        Self(Zeroizing::new(*characters))
    }

    /// The characters, as ASCII. Whoever calls this answers for where they go.
    #[must_use]
    pub fn expose(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}
