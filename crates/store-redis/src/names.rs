//! What the keys in Redis are called.

use keywright_core::{KeyId, Workspace};

/// All names begin with one namespace. What belongs to one key has its routing tag in braces, so that
/// it lies in one hash slot.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    namespace: String,
}

impl Names {
    /// Longest namespace, in bytes.
    const MAX_LENGTH: usize = 32;

    /// `None` unless these are 1 to 32 of `a-z0-9_-`.
    pub(crate) fn new(namespace: &str) -> Option<Self> {
        let allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        let well_formed =
            (1..=Self::MAX_LENGTH).contains(&namespace.len()) && namespace.bytes().all(allowed);
        well_formed.then(|| Self {
            namespace: namespace.into(),
        })
    }

    /// What all names of records begin with.
    pub(crate) fn records(&self) -> String {
        format!("{}:r:", self.namespace)
    }

    /// The record of a key.
    pub(crate) fn record(&self, id: &KeyId) -> Vec<u8> {
        self.of_key(b'r', id)
    }

    /// The time of its last use.
    pub(crate) fn last_use(&self, id: &KeyId) -> Vec<u8> {
        self.of_key(b'u', id)
    }

    /// The ids of the keys that it has created.
    pub(crate) fn children(&self, id: &KeyId) -> Vec<u8> {
        self.of_key(b'c', id)
    }

    /// The ids of a workspace.
    pub(crate) fn index(&self, workspace: &Workspace) -> Vec<u8> {
        format!("{}:i:{{{workspace}}}", self.namespace).into_bytes()
    }

    /// The ids of its keys of `test`.
    pub(crate) fn test_index(&self, workspace: &Workspace) -> Vec<u8> {
        format!("{}:t:{{{workspace}}}", self.namespace).into_bytes()
    }

    /// The reservations of which this is one.
    pub(crate) fn reservations(&self, key: &[u8; 32]) -> Vec<u8> {
        let [first, ..] = key;
        format!("{}:v:{{{first:02x}}}", self.namespace).into_bytes()
    }

    /// Until when they hold.
    pub(crate) fn reservation_ends(&self, key: &[u8; 32]) -> Vec<u8> {
        let [first, ..] = key;
        format!("{}:e:{{{first:02x}}}", self.namespace).into_bytes()
    }

    /// A setting of the store.
    pub(crate) fn setting(&self, name: &str) -> Vec<u8> {
        format!("{}:s:{name}", self.namespace).into_bytes()
    }

    /// What a heartbeat writes in the slot of a tag.
    pub(crate) fn heartbeat(&self, tag: &str) -> Vec<u8> {
        format!("{}:h:{{{tag}}}", self.namespace).into_bytes()
    }

    /// The id in the name of a record.
    pub(crate) fn id_of_record(name: &[u8]) -> Option<KeyId> {
        let start = name.len().checked_sub(KeyId::LENGTH)?;
        KeyId::from_bytes(name.get(start..)?).ok()
    }

    fn of_key(&self, what: u8, id: &KeyId) -> Vec<u8> {
        [
            self.namespace.as_bytes(),
            &[b':', what, b':', b'{'],
            id.routing_tag(),
            b"}:",
            id.as_bytes(),
        ]
        .concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_one_key_lies_in_one_slot() {
        let names = Names::new("kw").unwrap();
        let id = KeyId::parse("key_0U5lKtf6abc00000").unwrap();
        let record = names.record(&id);
        assert_eq!(record, b"kw:r:{abc}:0U5lKtf6abc00000");
        assert!(record.starts_with(names.records().as_bytes()));
        assert_eq!(Names::id_of_record(&record), Some(id));
        for other in [names.last_use(&id), names.children(&id)] {
            assert_eq!(crate::slot::of(&other), crate::slot::of(&record));
            assert!(!other.starts_with(names.records().as_bytes()));
        }
    }

    #[test]
    fn a_namespace_holds_nothing_that_means_something_in_a_name() {
        for bad in ["", "a:b", "a{b", "A", "é", &"a".repeat(33)] {
            assert!(Names::new(bad).is_none(), "{bad}");
        }
    }
}
