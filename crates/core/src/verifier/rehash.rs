//! Requests to replace the hash of a key.

use std::{collections::HashSet, sync::Arc};

use super::{cached_key::CachedKey, token_mac::TokenMac};
use crate::{
    KeyId,
    sync::{Mutex, PoisonError},
};

/// A request to replace the hash of a key whose secret has just been verified.
pub(super) struct Rehash<S> {
    pub(super) cached: Arc<CachedKey>,
    pub(super) token: TokenMac,
    pub(super) secret: S,
    pub(super) claim: RehashClaim,
}

/// The keys whose hashes are being replaced. A key has at most one claim.
#[derive(Clone, Default)]
pub(super) struct RehashClaims(Arc<Mutex<HashSet<KeyId>>>);

/// The claim on one key, released on drop.
pub(super) struct RehashClaim {
    claims: RehashClaims,
    id: KeyId,
}

impl RehashClaims {
    /// Claims a key. Returns `None` if it is claimed already.
    pub(super) fn claim(&self, id: KeyId) -> Option<RehashClaim> {
        let mut claimed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        claimed.insert(id).then(|| RehashClaim {
            claims: self.clone(),
            id,
        })
    }
}

impl Drop for RehashClaim {
    fn drop(&mut self) {
        let mut claimed = self.claims.0.lock().unwrap_or_else(PoisonError::into_inner);
        claimed.remove(&self.id);
    }
}
