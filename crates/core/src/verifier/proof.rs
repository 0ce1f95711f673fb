//! What is remembered of a secret that was proven: nothing that would help to find it.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};
use zeroize::Zeroizing;

pub(crate) use super::token_mac::TokenMac;
use crate::{Entropy, Key, RandomError, StoredHash, random::Generator};

/// A key of this process for the MACs of tokens (SipHash-2-4 with 128 bits of output), random at each
/// start and wiped on drop.
pub(crate) struct ProofKey(Box<Zeroizing<[u8; 16]>>);

/// What stands for a stored hash and all that it is bound to: if it is the same, then a secret that
/// was proven against the one is proven against the other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Fingerprint([u64; 2]);

impl ProofKey {
    pub(crate) fn generate(entropy: &dyn Entropy) -> Result<Self, RandomError> {
        let mut key = Box::new(Zeroizing::new([0; 16]));
        **key = Generator::seeded(entropy)?.bytes();
        Ok(Self(key))
    }

    /// The bytes are those of a token, whose one spelling has no length of its own.
    pub(super) fn mac(&self, token: &[u8]) -> TokenMac {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(token);
        let hash = hasher.finish128();
        TokenMac::new([hash.h1, hash.h2])
    }

    pub(super) fn fingerprint(&self, key: &Key, hash: &StoredHash) -> Fingerprint {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        // No token begins with this.
        hasher.write_u8(0);
        hash.feed(&mut hasher);
        for part in [key.environment.as_str(), key.workspace.as_str()] {
            hasher.write(part.as_bytes());
        }
        let hash = hasher.finish128();
        Fingerprint([hash.h1, hash.h2])
    }
}

/// That a token was proven against a stored hash.
#[derive(Clone, Copy)]
pub(crate) struct Proof {
    pub(super) token: TokenMac,
    pub(super) hash: Fingerprint,
}
