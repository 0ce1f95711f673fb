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

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(number: usize) -> Workspace {
        Workspace::parse(&format!("workspace-{number}")).unwrap()
    }

    #[test]
    fn what_is_equal_is_kept_once_as_long_as_there_is_room() {
        let shared = Shared::default();
        let share = |number| {
            let mut value = workspace(number);
            shared.share(&mut value);
            value
        };
        let first: Vec<_> = (0..KEPT).map(share).collect();
        let is_same = |number| {
            let again: Workspace = share(number);
            again == first[number] && again.as_str().as_ptr() == first[number].as_str().as_ptr()
        };
        assert!((0..KEPT).all(is_same));
        // One more than there is room for.
        share(KEPT);
        assert!(!is_same(0));
        assert_eq!(shared.0.lock().unwrap().len(), 2);
    }

    #[test]
    fn keys_share_their_workspace_and_their_permissions() {
        let parts = Parts::default();
        let [one, other] = [(); 2].map(|()| {
            let mut key = Key::new(
                crate::KeyId::parse("key_0U5lKtf600000000").unwrap(),
                workspace(1),
                crate::Environment::Live,
                crate::Name::parse("n").unwrap(),
                "keys:read,keys:write".parse().unwrap(),
            );
            parts.share(&mut key);
            key
        });
        let place = |key: &Key| {
            let permission = key.permissions.iter().next().unwrap();
            (
                key.workspace.as_str().as_ptr(),
                std::ptr::from_ref(permission),
            )
        };
        assert_eq!(place(&one), place(&other));
    }
}
