//! The secret of a key.

use zeroize::Zeroizing;

use crate::{base62, random::Generator};

/// The secret part of a token: 43 base62 characters, 256 bits. It is wiped from memory on drop and
/// has no `Debug`, `Display`, `Clone`, `PartialEq` or `Serialize`; the one way to the characters is
/// [`expose`](Self::expose).
// Boxed, since moving it would leave a copy behind that nobody wipes.
#[expect(missing_debug_implementations, reason = "a secret is never printed")]
pub struct Secret(Box<Zeroizing<[u8; Secret::LENGTH]>>);

impl Secret {
    /// Length in characters.
    pub const LENGTH: usize = 43;

    pub(crate) fn generate(random: &mut Generator) -> Self {
        let mut secret = Self::blank();
        random.fill_base62(&mut secret.0[..]);
        secret
    }

    /// A place for a secret, to be filled where it is.
    fn blank() -> Self {
        Self(Box::new(Zeroizing::new([b'0'; Self::LENGTH])))
    }

    /// Copies the characters of a secret that was parsed.
    pub(crate) fn copied(characters: &[u8; Self::LENGTH]) -> Self {
        debug_assert!(base62::is_base62(characters));
        let mut secret = Self::blank();
        secret.0.copy_from_slice(characters);
        secret
    }

    /// The characters, as ASCII. Whoever calls this answers for where they go.
    #[must_use]
    pub fn expose(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}
