//! What holds once a change was acknowledged. It is kept outside the model: noting it or looking at
//! it lets no other thread go on.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{Key, KeyId, Name};

/// What the verifications of a key answer from then on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Promise {
    /// It is refused.
    Refused,
    /// It is refused from that time on.
    RefusedFrom(u64),
    /// It is called so.
    Called(Name),
}

/// The promises that were made, and when.
#[derive(Default)]
pub(crate) struct Promises(Mutex<Vec<(KeyId, Promise, u64)>>);

impl Promises {
    fn all(&self) -> MutexGuard<'_, Vec<(KeyId, Promise, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn make(&self, id: KeyId, promise: Promise, now: u64) {
        self.all().push((id, promise, now));
    }

    /// Those of a key that hold for a verification which begins now, through a handle of that bound.
    pub(crate) fn in_force(&self, id: KeyId, now: u64, bound: u64) -> Vec<Promise> {
        let all = self.all();
        let old = all
            .iter()
            .filter(|(of, _, made)| *of == id && made + bound <= now);
        old.map(|(_, promise, _)| promise.clone()).collect()
    }
}

impl Promise {
    /// Whether a verification that began at that time could have accepted this key.
    pub(crate) fn allows(&self, key: &Key, began: u64) -> bool {
        match self {
            Self::Refused => false,
            Self::RefusedFrom(end) => began < *end,
            Self::Called(name) => key.name == *name,
        }
    }
}
