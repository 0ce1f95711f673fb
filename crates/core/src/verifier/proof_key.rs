//! The key under which proofs are computed.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};
use zeroize::Zeroizing;

use super::{proof::Fingerprint, token_mac::TokenMac};
use crate::{
    Entropy, Key,
    foreign::ForeignFormats,
    hash::{PresentedSecret, StoredHash},
    random::{Generator, RandomError},
};

/// The keys for SipHash-2-4 with 128 bits of output: one for the secrets of this library, and one
/// for each format of foreign tokens, so that equal bytes of two formats have different MACs. Each
/// verifier generates its own at random, and wipes them on drop.
pub(crate) struct ProofKey(Box<Zeroizing<[[u8; 16]; 1 + ForeignFormats::MAX]>>);

impl ProofKey {
    pub(crate) fn generate(entropy: &dyn Entropy) -> Result<Self, RandomError> {
        let mut keys = Box::new(Zeroizing::new([[0; 16]; 1 + ForeignFormats::MAX]));
        let mut random = Generator::seeded(entropy)?;
        for key in keys.iter_mut() {
            *key = random.bytes();
        }
        Ok(Self(keys))
    }

    /// Returns the MAC of a token. It covers the secret only: the rest of a token is public and
    /// compared directly. Of a foreign token, it covers everything that identifies a key.
    #[inline]
    pub(super) fn mac(&self, secret: PresentedSecret<'_>) -> TokenMac {
        let [native, foreign @ ..] = &**self.0;
        let hash = match secret {
            PresentedSecret::Native(secret) => SipHasher24::new_with_key(native).hash(secret),
            PresentedSecret::Foreign(token) => {
                let (format, identity) = token.identity();
                #[expect(clippy::indexing_slicing, reason = "the position of a format")]
                let key = &foreign[usize::from(format)];
                // Not `hash`, which the compiler specialises for the length of a native secret only
                // if it has no other caller.
                let mut hasher = SipHasher24::new_with_key(key);
                hasher.write(identity);
                hasher.finish128()
            }
        };
        TokenMac::new([hash.h1, hash.h2])
    }

    pub(super) fn fingerprint(&self, key: &Key, hash: &StoredHash) -> Fingerprint {
        let [native, ..] = &**self.0;
        let mut hasher = SipHasher24::new_with_key(native);
        // Separates fingerprints from MACs: no secret begins with this byte.
        hasher.write_u8(0);
        hash.feed(&mut hasher);
        for part in [key.environment.as_str(), key.workspace.as_str()] {
            hasher.write(part.as_bytes());
        }
        Fingerprint(hasher.finish())
    }
}
