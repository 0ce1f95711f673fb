//! The names under which the store keeps its data in Redis.

use keywright_core::{Environment, KeyId, Owner, Workspace};

/// The names of one namespace.
///
/// All names of one API key contain its routing tag in braces, so that they are in one hash slot.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    namespace: String,
}

impl Names {
    /// The maximum length of a namespace, in bytes.
    const MAX_LENGTH: usize = 32;

    /// Returns `None` unless the namespace is 1 to 32 characters of `a-z0-9_-`.
    pub(crate) fn new(namespace: &str) -> Option<Self> {
        let allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        let well_formed =
            (1..=Self::MAX_LENGTH).contains(&namespace.len()) && namespace.bytes().all(allowed);
        well_formed.then(|| Self {
            namespace: namespace.into(),
        })
    }

    /// The common prefix of the names of all records.
    pub(crate) fn record_prefix(&self) -> String {
        format!("{}:r:", self.namespace)
    }

    /// The record of a key: a string.
    pub(crate) fn record(&self, id: &KeyId) -> Vec<u8> {
        self.key_name(b'r', id)
    }

    /// The time when a key was last used, in Unix milliseconds: a string.
    pub(crate) fn last_use(&self, id: &KeyId) -> Vec<u8> {
        self.key_name(b'u', id)
    }

    /// The ids of the keys that a key has received, by creating them or by rotating others: a set.
    pub(crate) fn received(&self, id: &KeyId) -> Vec<u8> {
        self.key_name(b'c', id)
    }

    /// The ids of the keys that a caller of this workspace and environment sees, of all owners or
    /// of one: a sorted set.
    ///
    /// An owner may contain braces and colons. It is the end of the name and follows the hash tag,
    /// so that no two owners share an index, and all indexes of a workspace are in one slot.
    pub(crate) fn index(
        &self,
        workspace: &Workspace,
        environment: Environment,
        owner: Option<&Owner>,
    ) -> Vec<u8> {
        let namespace = &self.namespace;
        match (environment, owner) {
            (Environment::Live, None) => format!("{namespace}:i:{{{workspace}}}"),
            (Environment::Test, None) => format!("{namespace}:t:{{{workspace}}}"),
            (Environment::Live, Some(owner)) => format!("{namespace}:o:{{{workspace}}}:{owner}"),
            (Environment::Test, Some(owner)) => format!("{namespace}:p:{{{workspace}}}:{owner}"),
        }
        .into_bytes()
    }

    /// The reservations whose key begins with the same byte: a hash of their bindings.
    pub(crate) fn reservations(&self, key: &[u8; 32]) -> Vec<u8> {
        let [first, ..] = key;
        format!("{}:v:{{{first:02x}}}", self.namespace).into_bytes()
    }

    /// The times at which those reservations end: a sorted set.
    pub(crate) fn reservation_ends(&self, key: &[u8; 32]) -> Vec<u8> {
        let [first, ..] = key;
        format!("{}:e:{{{first:02x}}}", self.namespace).into_bytes()
    }

    /// A setting of the store: a string.
    pub(crate) fn setting(&self, name: &str) -> Vec<u8> {
        format!("{}:s:{name}", self.namespace).into_bytes()
    }

    /// A name in the slot of a hash tag. The names of heartbeats begin with it.
    pub(crate) fn heartbeat(&self, tag: &str) -> Vec<u8> {
        format!("{}:h:{{{tag}}}", self.namespace).into_bytes()
    }

    /// Returns the id of the key whose record has this name.
    pub(crate) fn id_of_record(name: &[u8]) -> Option<KeyId> {
        let start = name.len().checked_sub(KeyId::LENGTH)?;
        KeyId::from_bytes(name.get(start..)?).ok()
    }

    fn key_name(&self, kind: u8, id: &KeyId) -> Vec<u8> {
        [
            self.namespace.as_bytes(),
            &[b':', kind, b':', b'{'],
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
    fn all_names_of_a_key_are_in_one_slot() {
        let names = Names::new("kw").unwrap();
        let id = KeyId::parse("key_0U5lKtf6abc00000").unwrap();
        let record = names.record(&id);
        assert_eq!(record, b"kw:r:{abc}:0U5lKtf6abc00000");
        assert!(record.starts_with(names.record_prefix().as_bytes()));
        assert_eq!(Names::id_of_record(&record), Some(id));
        for other in [names.last_use(&id), names.received(&id)] {
            assert_eq!(crate::slot::of(&other), crate::slot::of(&record));
            assert!(!other.starts_with(names.record_prefix().as_bytes()));
        }
    }

    #[test]
    fn all_indexes_of_a_workspace_are_in_one_slot_and_have_different_names() {
        let names = Names::new("kw").unwrap();
        let workspaces = ["acme", "acme:a"].map(|text| Workspace::parse(text).unwrap());
        let longest = "o".repeat(Owner::MAX_LENGTH);
        let mut owners: Vec<String> = (b'!'..=b'~').map(|byte| char::from(byte).into()).collect();
        owners.extend(
            [
                r#"{"a","b"}"#,
                "{}",
                "}{",
                "{acme}",
                "a",
                "a:a",
                ":",
                "}:a",
                "*?[a]",
                "\\",
                &longest,
            ]
            .map(String::from),
        );
        owners.sort();
        owners.dedup();
        let owners: Vec<Owner> = owners
            .iter()
            .map(|text| Owner::parse(text).unwrap())
            .collect();
        let mut seen = std::collections::HashSet::new();
        for workspace in &workspaces {
            for owner in std::iter::once(None).chain(owners.iter().map(Some)) {
                for environment in [Environment::Live, Environment::Test] {
                    let index = names.index(workspace, environment, owner);
                    let slot = crate::slot::of(workspace.as_str().as_bytes());
                    assert_eq!(crate::slot::of(&index), slot, "{index:?}");
                    assert!(!index.starts_with(names.record_prefix().as_bytes()));
                    assert!(seen.insert(index), "{workspace} {owner:?} {environment}");
                }
            }
        }
    }

    #[test]
    fn the_names_of_indexes_do_not_change() {
        let names = Names::new("kw").unwrap();
        let workspace = Workspace::parse("acme").unwrap();
        let owner = Owner::parse(r#"{"a","b"}"#).unwrap();
        let index = |environment, owner| {
            String::from_utf8(names.index(&workspace, environment, owner)).unwrap()
        };
        assert_eq!(index(Environment::Live, None), "kw:i:{acme}");
        assert_eq!(index(Environment::Test, None), "kw:t:{acme}");
        let of_owner = |environment| index(environment, Some(&owner));
        assert_eq!(of_owner(Environment::Live), r#"kw:o:{acme}:{"a","b"}"#);
        assert_eq!(of_owner(Environment::Test), r#"kw:p:{acme}:{"a","b"}"#);
    }

    #[test]
    fn a_namespace_with_a_character_that_has_a_meaning_in_a_name_is_rejected() {
        for bad in ["", "a:b", "a{b", "A", "é", &"a".repeat(33)] {
            assert!(Names::new(bad).is_none(), "{bad}");
        }
    }
}
