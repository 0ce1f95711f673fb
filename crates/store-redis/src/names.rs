//! The names under which the store keeps its data in Redis.

use keywright_core::{Environment, EventId, KeyId, Owner, Workspace, store::Alias};

use crate::record::hex;

/// The content of an index of a workspace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Indexed {
    Keys,
    Events,
}

/// The names of one namespace.
///
/// All names of one API key and of its events contain its routing tag in braces, so that they are
/// in one hash slot.
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

    /// An event: a string.
    pub(crate) fn event(&self, id: &EventId) -> Vec<u8> {
        self.tagged_name(b'l', id.routing_tag(), id.as_bytes())
    }

    /// The ids of the events of a key: a sorted set.
    pub(crate) fn events_of_key(&self, id: &KeyId) -> Vec<u8> {
        self.key_name(b'k', id)
    }

    /// The ids of the keys that a caller of this workspace and environment sees, or of the events
    /// of these keys, of all owners or of one: a sorted set.
    ///
    /// An owner may contain braces and colons. It is the end of the name and follows the hash tag,
    /// so that no two owners share an index, and all indexes of a workspace are in one slot.
    pub(crate) fn index(
        &self,
        indexed: Indexed,
        workspace: &Workspace,
        environment: Environment,
        owner: Option<&Owner>,
    ) -> Vec<u8> {
        let namespace = &self.namespace;
        let kind = match (indexed, environment, owner) {
            (Indexed::Keys, Environment::Live, None) => 'i',
            (Indexed::Keys, Environment::Test, None) => 't',
            (Indexed::Keys, Environment::Live, Some(_)) => 'o',
            (Indexed::Keys, Environment::Test, Some(_)) => 'p',
            (Indexed::Events, Environment::Live, None) => 'w',
            (Indexed::Events, Environment::Test, None) => 'x',
            (Indexed::Events, Environment::Live, Some(_)) => 'y',
            (Indexed::Events, Environment::Test, Some(_)) => 'z',
        };
        match owner {
            None => format!("{namespace}:{kind}:{{{workspace}}}"),
            Some(owner) => format!("{namespace}:{kind}:{{{workspace}}}:{owner}"),
        }
        .into_bytes()
    }

    /// The common prefix of the names of the indexes of all events of a workspace.
    pub(crate) fn event_index_prefix(&self) -> String {
        format!("{}:w:", self.namespace)
    }

    /// The common prefixes of the names of the indexes that contain all keys, or all events, of a
    /// workspace. The workspace follows, in braces.
    pub(crate) fn index_prefixes(&self) -> [String; 2] {
        [format!("{}:i:", self.namespace), self.event_index_prefix()]
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

    /// The id of the key with an alias: a string.
    pub(crate) fn alias(&self, alias: &Alias) -> Vec<u8> {
        let namespace = self.namespace.as_bytes();
        [namespace, b":a:", hex(alias).as_bytes()].concat()
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
        self.tagged_name(kind, id.routing_tag(), id.as_bytes())
    }

    fn tagged_name(&self, kind: u8, tag: &[u8], id: &[u8]) -> Vec<u8> {
        let namespace = self.namespace.as_bytes();
        [namespace, &[b':', kind, b':', b'{'], tag, b"}:", id].concat()
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
        let event = EventId::parse("evt_0U5lKtf7abc00001").unwrap();
        assert_eq!(names.event(&event), b"kw:l:{abc}:0U5lKtf7abc00001");
        for other in [
            names.last_use(&id),
            names.received(&id),
            names.events_of_key(&id),
            names.event(&event),
        ] {
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
                for (indexed, environment) in [
                    (Indexed::Keys, Environment::Live),
                    (Indexed::Keys, Environment::Test),
                    (Indexed::Events, Environment::Live),
                    (Indexed::Events, Environment::Test),
                ] {
                    let index = names.index(indexed, workspace, environment, owner);
                    let slot = crate::slot::of(workspace.as_str().as_bytes());
                    assert_eq!(crate::slot::of(&index), slot, "{index:?}");
                    assert!(!index.starts_with(names.record_prefix().as_bytes()));
                    let is_scanned = index.starts_with(names.event_index_prefix().as_bytes());
                    let has_all_events =
                        (indexed, environment, owner) == (Indexed::Events, Environment::Live, None);
                    assert_eq!(is_scanned, has_all_events, "{index:?}");
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
        for (indexed, [live, test, live_of_owner, test_of_owner]) in [
            (Indexed::Keys, ['i', 't', 'o', 'p']),
            (Indexed::Events, ['w', 'x', 'y', 'z']),
        ] {
            let index = |environment, owner| {
                String::from_utf8(names.index(indexed, &workspace, environment, owner)).unwrap()
            };
            assert_eq!(
                index(Environment::Live, None),
                format!("kw:{live}:{{acme}}")
            );
            assert_eq!(
                index(Environment::Test, None),
                format!("kw:{test}:{{acme}}")
            );
            let name = |kind| format!(r#"kw:{kind}:{{acme}}:{{"a","b"}}"#);
            let of_owner = |environment| index(environment, Some(&owner));
            assert_eq!(of_owner(Environment::Live), name(live_of_owner));
            assert_eq!(of_owner(Environment::Test), name(test_of_owner));
        }
    }

    #[test]
    fn a_namespace_with_a_character_that_has_a_meaning_in_a_name_is_rejected() {
        for bad in ["", "a:b", "a{b", "A", "é", &"a".repeat(33)] {
            assert!(Names::new(bad).is_none(), "{bad}");
        }
    }
}
