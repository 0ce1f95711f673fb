//! Evidence that a secret was verified, from which the secret cannot be recovered.

use super::token_mac::TokenMac;
use crate::KeyId;

/// A digest of a stored hash and of everything that it is bound to. A secret that matches a hash
/// also matches every hash with the same fingerprint.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Fingerprint(pub(super) u64);

/// Evidence that a token's secret matches a stored hash.
#[derive(Clone, Copy)]
pub(crate) struct Proof {
    pub(super) token: TokenMac,
    pub(super) hash: Fingerprint,
}

/// A proof and its key, as a key for maps.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ProofId {
    pub(super) id: KeyId,
    token: [u64; 2],
    hash: Fingerprint,
}

impl ProofId {
    pub(super) const fn new(id: KeyId, proof: Proof) -> Self {
        Self {
            id,
            token: proof.token.as_words(),
            hash: proof.hash,
        }
    }
}
