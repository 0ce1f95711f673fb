//! What many keys have in common, kept once.

use std::{collections::HashSet, hash::Hash};

use crate::{
    Key, Permissions, Workspace,
    sync::{Mutex, PoisonError},
};

/// Most values that are kept of each kind. Beyond that all begins anew: what is in use stays so.
const KEPT: usize = 4096;

/// The workspaces and the sets of permissions of the keys that were read lately. A store makes new ones
/// with each row; the keys in memory share them.
#[derive(Default)]
pub(super) struct Parts {
    workspaces: Shared<Workspace>,
    permissions: Shared<Permissions>,
}

impl Parts {
    pub(super) fn share(&self, key: &mut Key) {
        self.workspaces.share(&mut key.workspace);
        self.permissions.share(&mut key.permissions);
    }
}

struct Shared<T>(Mutex<HashSet<T>>);

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone + Eq + Hash> Shared<T> {
    fn share(&self, value: &mut T) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(same) = kept.get(value) {
            *value = same.clone();
            return;
        }
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(value.clone());
    }
}
