//! The hashes that are checked after a tag has proven a secret.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    cache::Cache,
    proof::{Proof, ProofId},
};
use crate::{
    KeyId,
    hash::HashError,
    store::Lease,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The maximum number of keys that are remembered because a check of their hash failed. Once there
/// are as many, no tag is trusted.
const MAX_DISTRUSTED: usize = 1024;

/// The checks that have not ended, and the keys whose tags are no longer trusted.
///
/// A proof by tag is used only while its check has not ended, or once the check has passed:
///
/// * A verification takes the stamp, reads the record, compares the tag, relies on the check
///   ([`rely_on`](Self::rely_on)) and fills the cache.
/// * A check that fails distrusts the key, ends, and publishes a change of the record, in this
///   order.
///
/// A verification that relied on the check before it ended took its stamp before the change, so its
/// entry does not stay fresh. A later one finds the check ended and the key distrusted.
#[derive(Clone)]
pub(super) struct TagChecks(Arc<Shared>);

struct Shared {
    cache: Arc<Cache>,
    lease: Arc<Lease>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The checks that have not ended, and whether a verification relies on them.
    pending: HashMap<ProofId, bool>,
    distrusted: HashSet<KeyId>,
}

impl State {
    fn trusts(&self, id: &KeyId) -> bool {
        self.distrusted.len() < MAX_DISTRUSTED && !self.distrusted.contains(id)
    }
}

impl TagChecks {
    pub(super) fn new(cache: Arc<Cache>, lease: Arc<Lease>) -> Self {
        Self(Arc::new(Shared {
            cache,
            lease,
            state: Mutex::default(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins the check of a proof. Returns `None` if it has begun already, or if the tag of the
    /// key is not trusted.
    pub(super) fn begin(&self, id: KeyId, proof: Proof) -> Option<TagCheck> {
        let proof = ProofId::new(id, proof);
        let mut state = self.lock();
        if !state.trusts(&id) || state.pending.contains_key(&proof) {
            return None;
        }
        state.pending.insert(proof, false);
        Some(TagCheck {
            checks: self.clone(),
            proof,
            end: End::Distrusted,
        })
    }

    /// Whether a check of the proof has begun and not ended. From now on, its end takes the proof
    /// back unless it has passed.
    pub(super) fn rely_on(&self, id: KeyId, proof: Proof) -> bool {
        let mut state = self.lock();
        if !state.trusts(&id) {
            return false;
        }
        let check = state.pending.get_mut(&ProofId::new(id, proof));
        check.map(|is_relied_on| *is_relied_on = true).is_some()
    }

    /// Whether a check of the proof has begun and not ended. A check that ends later marks the
    /// entry that the cache has now.
    pub(super) fn is_pending(&self, id: KeyId, proof: Proof) -> bool {
        self.lock().pending.contains_key(&ProofId::new(id, proof))
    }
}

/// A check that has begun. If it is dropped, it has failed.
pub(super) struct TagCheck {
    checks: TagChecks,
    proof: ProofId,
    end: End,
}

/// How a check ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The secret has the hash.
    Passed,
    /// The queue had no place, or gave it to another workspace. The next verification begins
    /// another check.
    NoPlace,
    /// The secret does not have the hash, or that could not be found out.
    Distrusted,
}

impl TagCheck {
    /// Returns the id of the key.
    pub(super) fn id(&self) -> KeyId {
        self.proof.id
    }

    /// Ends the check: whether the secret has the hash.
    pub(super) fn complete(mut self, result: Result<bool, HashError>) {
        self.end = match result {
            Ok(true) => End::Passed,
            Err(HashError::Busy) => End::NoPlace,
            Ok(false) | Err(_) => End::Distrusted,
        };
    }
}

impl Drop for TagCheck {
    fn drop(&mut self) {
        let Shared { cache, lease, .. } = &*self.checks.0;
        let id = self.proof.id;
        let mut state = self.checks.lock();
        if self.end == End::Distrusted && state.trusts(&id) {
            state.distrusted.insert(id);
        }
        let is_relied_on = state.pending.remove(&self.proof) == Some(true);
        drop(state);
        if self.end == End::Passed {
            cache.read(&id, |entry| entry.mark_checked(self.proof));
        }
        if is_relied_on && self.end != End::Passed {
            lease.changed(&id);
        }
    }
}
