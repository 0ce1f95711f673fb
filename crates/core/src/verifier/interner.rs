//! Sharing of the values that many cached keys have in common.

use std::{collections::HashSet, hash::Hash};

use crate::{
    Attributes, Key, Owner, Permissions, Workspace,
    sync::{Mutex, PoisonError},
};

/// The capacity for each kind of value. A full interner is emptied: keys keep the values that they
/// have.
const CAPACITY: usize = 4096;

/// The maximum number of bytes for each kind of value. This binds for large permission sets.
const CAPACITY_BYTES: usize = 2 * 1024 * 1024;

/// The workspaces, owners, permission sets and attributes of recently read keys. A store allocates
/// them for each row, and cached keys share them.
#[derive(Default)]
pub(super) struct Interner {
    workspaces: InternedValues<Workspace>,
    owners: InternedValues<Owner>,
    permissions: InternedValues<Permissions>,
    attributes: InternedValues<Attributes>,
}

impl Interner {
    /// Replaces the parts of the key with shared copies.
    pub(super) fn intern(&self, key: &mut Key) {
        let workspace = key.workspace.as_str().len();
        self.workspaces.intern(&mut key.workspace, workspace);
        let permissions = key
            .permissions
            .iter()
            .map(|permission| size_of_val(permission) + permission.as_str().len())
            .sum();
        self.permissions.intern(&mut key.permissions, permissions);
        if let Some(owner) = &mut key.owner {
            let bytes = owner.as_str().len();
            self.owners.intern(owner, bytes);
        }
        if let Some(attributes) = &mut key.attributes {
            let bytes = attributes.as_json().len();
            self.attributes.intern(attributes, bytes);
        }
    }
}

struct InternedValues<T>(Mutex<Values<T>>);

struct Values<T> {
    set: HashSet<T>,
    bytes: usize,
}

impl<T> Default for InternedValues<T> {
    fn default() -> Self {
        Self(Mutex::new(Values {
            set: HashSet::new(),
            bytes: 0,
        }))
    }
}

impl<T: Clone + Eq + Hash> InternedValues<T> {
    /// Replaces a value of this many bytes with an equal one, or keeps it for later values.
    fn intern(&self, value: &mut T, bytes: usize) {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = values.set.get(value) {
            *value = shared.clone();
            return;
        }
        if values.set.len() >= CAPACITY || values.bytes + bytes > CAPACITY_BYTES {
            values.set.clear();
            values.bytes = 0;
        }
        values.set.insert(value.clone());
        values.bytes += bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(number: usize) -> Workspace {
        Workspace::parse(&format!("workspace-{number}")).unwrap()
    }

    #[test]
    fn equal_values_are_shared_until_the_interner_is_full() {
        let values = InternedValues::default();
        let intern = |number| {
            let mut value = workspace(number);
            values.intern(&mut value, 1);
            value
        };
        let first: Vec<_> = (0..CAPACITY).map(intern).collect();
        let is_shared = |number| {
            let again: Workspace = intern(number);
            again == first[number] && again.as_str().as_ptr() == first[number].as_str().as_ptr()
        };
        assert!((0..CAPACITY).all(is_shared));
        // One value more than the capacity.
        intern(CAPACITY);
        assert!(!is_shared(0));
        assert_eq!(values.0.lock().unwrap().set.len(), 2);
    }

    #[test]
    fn large_values_empty_the_interner_earlier() {
        let values = InternedValues::default();
        for number in 0..5 {
            values.intern(&mut workspace(number), CAPACITY_BYTES / 4);
        }
        assert_eq!(values.0.lock().unwrap().set.len(), 1);
    }

    #[test]
    fn keys_share_their_workspace_and_their_permissions() {
        let interner = Interner::default();
        let [first, second] = [(); 2].map(|()| {
            let mut key = Key::new(
                crate::KeyId::parse("key_0U5lKtf600000000").unwrap(),
                workspace(1),
                crate::Environment::Live,
                crate::Name::parse("n").unwrap(),
                "keys:read,keys:write".parse().unwrap(),
            );
            interner.intern(&mut key);
            key
        });
        let addresses = |key: &Key| {
            let permission = key.permissions.iter().next().unwrap();
            (
                key.workspace.as_str().as_ptr(),
                std::ptr::from_ref(permission),
            )
        };
        assert_eq!(addresses(&first), addresses(&second));
    }
}
