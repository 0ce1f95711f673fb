//! What is remembered of a secret that was proven: nothing that would help to find it.

use std::hash::Hasher;

use siphasher::sip128::SipHasher24;
use zeroize::Zeroizing;

pub(crate) use super::token_mac::TokenMac;
use crate::{Entropy, Key, RandomError, StoredHash, random::Generator, token::Secret};

/// A key of this process for the MACs of tokens (SipHash-2-4 with 128 bits of output), random at each
/// start and wiped on drop.
pub(crate) struct ProofKey(Box<Zeroizing<[u8; 16]>>);

/// What stands for a stored hash and all that it is bound to: if it is the same, then a secret that
/// was proven against the one is proven against the other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Fingerprint(pub(super) u64);

impl ProofKey {
    pub(crate) fn generate(entropy: &dyn Entropy) -> Result<Self, RandomError> {
        let mut key = Box::new(Zeroizing::new([0; 16]));
        **key = Generator::seeded(entropy)?.bytes();
        Ok(Self(key))
    }

    /// All of a token but its secret is public, and compared as it is.
    #[inline]
    pub(super) fn mac(&self, secret: &[u8; Secret::LENGTH]) -> TokenMac {
        let hash = SipHasher24::new_with_key(&self.0).hash(secret);
        TokenMac::new([hash.h1, hash.h2])
    }

    pub(super) fn fingerprint(&self, key: &Key, hash: &StoredHash) -> Fingerprint {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        // No secret begins with this.
        hasher.write_u8(0);
        hash.feed(&mut hasher);
        for part in [key.environment.as_str(), key.workspace.as_str()] {
            hasher.write(part.as_bytes());
        }
        Fingerprint(hasher.finish())
    }
}

#[cfg(test)]
crate::secrecy::assert_unprintable!(TokenMac, Proof);

/// That a token was proven against a stored hash.
#[derive(Clone, Copy)]
pub(crate) struct Proof {
    pub(super) token: TokenMac,
    pub(super) hash: Fingerprint,
}
