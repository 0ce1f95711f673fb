//! The key under which proofs are computed.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};
use zeroize::Zeroizing;

use super::{proof::Fingerprint, token_mac::TokenMac};
use crate::{
    Entropy, Key,
    hash::{PresentedSecret, StoredHash},
    random::{Generator, RandomError},
};

/// A key for SipHash-2-4 with 128 bits of output. Each verifier generates its own at random, and
/// wipes it on drop.
pub(crate) struct ProofKey(Box<Zeroizing<[u8; 16]>>);

impl ProofKey {
    pub(crate) fn generate(entropy: &dyn Entropy) -> Result<Self, RandomError> {
        let mut key = Box::new(Zeroizing::new([0; 16]));
        **key = Generator::seeded(entropy)?.bytes();
        Ok(Self(key))
    }

    /// Returns the MAC of a token. It covers the secret only: the rest of a token is public and
    /// compared directly. Of a foreign token, it covers everything that identifies a key.
    #[inline]
    pub(super) fn mac(&self, secret: PresentedSecret<'_>) -> TokenMac {
        let hash = match secret {
            PresentedSecret::Native(secret) => SipHasher24::new_with_key(&self.0).hash(secret),
            PresentedSecret::Foreign(token) => {
                let (format, identity) = token.identity();
                let mut hasher = SipHasher24::new_with_key(&self.0);
                hasher.write(identity);
                // At the end, so that the words of the identity stay aligned. No secret ends with
                // the byte 1.
                hasher.write(&[format, 1]);
                hasher.finish128()
            }
        };
        TokenMac::new([hash.h1, hash.h2])
    }

    pub(super) fn fingerprint(&self, key: &Key, hash: &StoredHash) -> Fingerprint {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        // Separates fingerprints from MACs: no secret and no identity begins with this byte.
        hasher.write_u8(0);
        hash.feed(&mut hasher);
        for part in [key.environment.as_str(), key.workspace.as_str()] {
            hasher.write(part.as_bytes());
        }
        Fingerprint(hasher.finish())
    }
}
