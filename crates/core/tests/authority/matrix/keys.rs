//! The callers and the keys of the matrix.

use keywright_core::{
    Attributes, Caller, Environment, Key, KeyId, Name, Owner, Permissions, Timestamp, Workspace,
};

/// The permissions of the callers for operations on keys.
pub(super) const PERMISSIONS: [&str; 13] = [
    "",
    "*",
    "api_keys:*",
    "api_keys:read",
    "api_keys:write",
    "api_keys:verify",
    "api_keys.own:*",
    "api_keys.own:read",
    "api_keys.own:write",
    "api_keys.own:verify",
    "api_keys.self:rotate",
    "api_keys:read,api_keys.own:write",
    "api_keys:write,api_keys.own:read",
];

/// The other permissions of the callers. Without them, a caller covers only keys that have no
/// permissions.
pub(super) const OTHER_PERMISSIONS: [&str; 2] = ["", "calls:*"];

/// The permissions of the target keys.
pub(super) const TARGET_PERMISSIONS: [&str; 3] = ["", "calls:read", "*"];

pub(super) const ENVIRONMENTS: [Environment; 2] = [Environment::Live, Environment::Test];

pub(super) const STATES: [State; 5] = [
    State::Active,
    State::Disabled,
    State::Expired,
    State::Revoked,
    State::Rotated,
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Active,
    Disabled,
    Expired,
    Revoked,
    /// The key has a successor and is still active.
    Rotated,
}

pub(super) fn now() -> Timestamp {
    Timestamp::parse("2024-03-01T11:00:00Z").unwrap()
}

pub(super) fn owner(name: &str) -> Owner {
    Owner::parse(name).unwrap()
}

pub(super) fn id(number: usize) -> KeyId {
    KeyId::parse(&format!("key_0U5lKtf6{number:08}")).unwrap()
}

pub(super) fn key(
    number: usize,
    workspace: &str,
    environment: Environment,
    permissions: Permissions,
) -> Key {
    let workspace = Workspace::parse(workspace).unwrap();
    let name = Name::parse("n").unwrap();
    Key::new(id(number), workspace, environment, name, permissions)
}

/// The id of the key of a caller.
pub(super) const CALLER: usize = 90_000_000;

/// Returns all callers: keys, and callers that the host has authenticated. Keys have their record.
pub(super) fn callers() -> Vec<(Caller, Option<Key>)> {
    let mut callers = Vec::new();
    for permissions in PERMISSIONS {
        for others in OTHER_PERMISSIONS {
            let set = [permissions, others]
                .into_iter()
                .filter(|set| !set.is_empty());
            let permissions: Permissions = set.collect::<Vec<_>>().join(",").parse().unwrap();
            for environment in ENVIRONMENTS {
                for owner in [None, Some(owner("alice"))] {
                    let mut key = key(CALLER, "acme", environment, permissions.clone());
                    key.owner = owner;
                    key.attributes = Some(Attributes::parse(r#"{"of":"caller"}"#).unwrap());
                    let mut host = Caller::new(key.workspace.clone(), permissions.clone())
                        .with_environment(environment)
                        .with_attributes(key.attributes.clone().unwrap());
                    if let Some(owner) = &key.owner {
                        host = host.with_owner(owner.clone());
                    }
                    callers.push((host, None));
                    callers.push((Caller::from(&key), Some(key)));
                }
            }
        }
    }
    callers
}

/// Returns all targets other than the caller's own key.
pub(super) fn targets() -> Vec<Key> {
    let mut targets = Vec::new();
    for workspace in ["acme", "other"] {
        for environment in ENVIRONMENTS {
            for name in [None, Some("alice"), Some("bob")] {
                for permissions in TARGET_PERMISSIONS {
                    for state in STATES {
                        let number = targets.len();
                        let permissions = permissions.parse().unwrap();
                        let mut target = key(number, workspace, environment, permissions);
                        target.owner = name.map(owner);
                        target.attributes = Some(Attributes::parse("{}").unwrap());
                        match state {
                            State::Active => {}
                            State::Disabled => target.enabled = false,
                            State::Expired => target.expires_at = Some(now()),
                            State::Revoked => target.revoked_at = Some(now()),
                            State::Rotated => target.successor = Some(id(80_000_000)),
                        }
                        targets.push(target);
                    }
                }
            }
        }
    }
    targets
}

/// Returns a descendant of a target, which is stronger and belongs to another owner.
pub(super) fn descendant(target: &Key) -> Key {
    let mut descendant = key(
        0,
        target.workspace.as_str(),
        Environment::Live,
        Permissions::all(),
    );
    let text = target
        .id
        .to_string()
        .replace("key_0U5lKtf6", "key_0U5lKtf7");
    descendant.id = KeyId::parse(&text).unwrap();
    descendant.owner = Some(owner("carol"));
    descendant.rotated_by = Some(target.id);
    descendant
}
