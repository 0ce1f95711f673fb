//! Promises about the verifications after a change. They are kept outside the model: making or
//! reading one switches no threads.

use std::{
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{Key, KeyId, Name, Permissions};

/// A constraint on all later verifications of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Promise {
    /// The key is rejected.
    Rejected,
    /// The key is rejected from this time on.
    RejectedFrom(u64),
    /// The key is rejected from this address.
    RejectedAt(IpAddr),
    /// The key has this name.
    Named(Name),
    /// The key has these permissions and no others.
    Permitted(Permissions),
}

/// The promises that were made, with their times.
#[derive(Default)]
pub(crate) struct Promises(Mutex<Vec<(KeyId, Promise, u64)>>);

impl Promises {
    fn all(&self) -> MutexGuard<'_, Vec<(KeyId, Promise, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn make(&self, id: KeyId, promise: Promise, now: u64) {
        self.all().push((id, promise, now));
    }

    /// Returns the promises about a key that bind a verification which begins at `now` through a
    /// handle with this bound.
    pub(crate) fn in_force(&self, id: KeyId, now: u64, bound: u64) -> Vec<Promise> {
        let all = self.all();
        let in_force = all
            .iter()
            .filter(|(about, _, made)| *about == id && made + bound <= now);
        in_force.map(|(_, promise, _)| promise.clone()).collect()
    }
}

impl Promise {
    /// Whether a verification that began at this time, from this address, may have accepted the
    /// key.
    pub(crate) fn allows(&self, key: &Key, began: u64, address: Option<IpAddr>) -> bool {
        match self {
            Self::Rejected => false,
            Self::RejectedFrom(end) => began < *end,
            Self::RejectedAt(forbidden) => address != Some(*forbidden),
            Self::Named(name) => key.name == *name,
            Self::Permitted(permissions) => key.permissions == *permissions,
        }
    }
}
