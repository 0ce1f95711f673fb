//! Clause 7: an update replaces only the fields that it names, and only in the version that was
//! read.

use super::{
    fixture::{
        assert_rejected, at, child_of, credential, expiring, in_version, name, now, record,
        successor_of,
    },
    handle::{Handle, race},
    harness::Harness,
};
use crate::{
    Key, Metadata, Reach, Rename,
    store::{Record, Retire, StoreErrorKind},
};

/// Tests clause 7, conditional update.
pub fn conditional_update(harness: &impl Harness) {
    let handles = Handle::open_three(harness);
    let [store, other, _] = &handles;
    rename_replaces_only_the_given_fields(store, other);
    rehash_replaces_only_the_credential(store, other);
    each_change_increments_the_version(store);
    other_versions_are_rejected(store);
    unknown_and_revoked_keys_are_not_updated(store);
    one_concurrent_update_succeeds(&handles);
}

fn metadata(json: &str) -> Metadata {
    Metadata::parse(json).unwrap()
}

fn to_name(text: &str) -> Rename {
    Rename::new(Some(name(text)), None)
}

fn rename_replaces_only_the_given_fields<H: Harness>(store: &Handle<'_, H>, other: &Handle<'_, H>) {
    let bystander = store.add(record("bystander"));
    for old_metadata in [None, Some(metadata(r#"{"old":true}"#))] {
        // An expired key can be updated. A revoked key cannot.
        let mut current = expiring(record("old"), at(-1));
        current.key.parent = Some(bystander.key.id);
        current.key.metadata = old_metadata;
        let mut current = store.add(current);
        for rename in [
            to_name("new"),
            Rename::new(None, Some(metadata(r#"{"new":1}"#))),
            Rename::new(Some(name("newer")), Some(metadata("{}"))),
        ] {
            let result = store.rename(&current, &rename);
            current.key.name = rename.name.unwrap_or(current.key.name);
            current.key.metadata = rename.metadata.or(current.key.metadata);
            current.version += 1;
            let renamed = result.expect("the store failed to rename the current version of a key");
            assert_eq!(
                renamed, current.key,
                "a rename did not return the key with its changes"
            );
            let found = other.read(&current.key.id);
            assert_eq!(
                found, current,
                "a rename did not replace exactly the fields that it names"
            );
        }
    }
    assert_eq!(
        store.read(&bystander.key.id),
        bystander,
        "a rename changed another key"
    );
}

fn rehash_replaces_only_the_credential<H: Harness>(store: &Handle<'_, H>, other: &Handle<'_, H>) {
    let bystander = store.add(record("bystander"));
    let mut current = store.add(expiring(record("rehashed"), at(-1)));
    for number in [5, 6] {
        let result = store.rehash(&current, &credential(number));
        assert!(
            result.is_ok(),
            "rejected a rehash of the current version of a key: {result:?}"
        );
        let Record { key, version, .. } = current;
        current = Record {
            key,
            credential: credential(number),
            version: version + 1,
        };
        let found = other.read(&current.key.id);
        assert_eq!(
            found.credential.tag, current.credential.tag,
            "a rehash did not replace the tag"
        );
        assert_eq!(
            found, current,
            "a rehash did not replace exactly the hash and the tag"
        );
    }
    assert_eq!(
        store.read(&bystander.key.id),
        bystander,
        "a rehash changed another key"
    );
}

fn each_change_increments_the_version<H: Harness>(store: &Handle<'_, H>) {
    let key = store.add(record("versions"));
    let child = store.add(child_of(&key));
    let read = || store.read(&key.key.id);
    assert_eq!(
        read().version,
        1,
        "an insert changed the version of the record"
    );
    store
        .rename(&read(), &to_name("new"))
        .expect("the store failed to rename a key");
    assert_eq!(read().version, 2, "a rename did not increment the version");
    store
        .rehash(&read(), &credential(5))
        .expect("the store failed to rehash a key");
    assert_eq!(read().version, 3, "a rehash did not increment the version");
    let successor = successor_of(&key);
    store
        .rotate(&read(), Retire::At(at(500)), &successor, now())
        .expect("the store failed to rotate a key");
    assert_eq!(
        read().version,
        4,
        "a rotation did not increment the version"
    );
    assert_eq!(
        store.read(&successor.key.id).version,
        1,
        "a rotation changed the version of the successor"
    );
    store
        .revoke(&key, Reach::Descendants, now())
        .expect("the store failed to revoke a key");
    assert_eq!(
        read().version,
        5,
        "a revocation did not increment the version"
    );
    let version = store.read(&child.key.id).version;
    assert_eq!(
        version, 2,
        "a cascade did not increment the version of a child"
    );
    store
        .revoke(&key, Reach::Descendants, now())
        .expect("the store failed to revoke a key again");
    assert_eq!(
        read().version,
        5,
        "a repeated revocation incremented the version"
    );
}

fn other_versions_are_rejected<H: Harness>(store: &Handle<'_, H>) {
    let key = store.add(record("changed"));
    store
        .rename(&key, &to_name("changed once"))
        .expect("the store failed to rename a key");
    let current = store.read(&key.key.id);
    for version in [0, 1, 3, u64::MAX] {
        let claimed = in_version(version, &current);
        let result = store.rename(&claimed, &to_name("late"));
        assert_rejected(
            result,
            StoreErrorKind::Conflict,
            "a rename of another version",
        );
        let result = store.rehash(&claimed, &credential(8));
        assert_rejected(
            result,
            StoreErrorKind::Conflict,
            "a rehash of another version",
        );
        assert_eq!(
            store.read(&key.key.id),
            current,
            "a rejected update changed the record"
        );
    }
}

fn unknown_and_revoked_keys_are_not_updated<H: Harness>(store: &Handle<'_, H>) {
    let revoked = store.add(record("revoked"));
    store.revoke_key(&revoked);
    let unknown = record("never inserted");
    for (claimed, key) in [
        (unknown, "an unknown key"),
        (store.read(&revoked.key.id), "a revoked key"),
        (revoked, "a key that was revoked after it was read"),
    ] {
        let before = store.find(&claimed.key.id);
        let result = store.rename(&claimed, &to_name("late"));
        assert_rejected(
            result,
            StoreErrorKind::NotFound,
            &format!("a rename of {key}"),
        );
        let result = store.rehash(&claimed, &credential(8));
        assert_rejected(
            result,
            StoreErrorKind::NotFound,
            &format!("a rehash of {key}"),
        );
        assert_eq!(
            store.find(&claimed.key.id),
            before,
            "a rejected update of {key} changed the record"
        );
    }
}

fn one_concurrent_update_succeeds<H: Harness>(handles: &[Handle<'_, H>]) {
    let [store, ..] = handles else { unreachable!() };
    for round in 0..10 {
        let key = store.add(record("updated by many"));
        let results = race(handles, 6, |thread, store| {
            let mut updated = key.clone();
            let result = if thread % 2 == 0 {
                let rename = to_name(&format!("by thread {thread}"));
                updated.key = Key {
                    name: rename.name.clone().unwrap(),
                    ..updated.key
                };
                store.rename(&key, &rename).map(drop)
            } else {
                updated.credential = credential([0, 11, 0, 13, 0, 15][thread]);
                store.rehash(&key, &updated.credential)
            };
            (in_version(2, &updated), result)
        });
        let mut winners = Vec::new();
        for (updated, result) in results {
            match result {
                Ok(()) => winners.push(updated),
                rejected => assert_rejected(
                    rejected,
                    StoreErrorKind::Conflict,
                    "a concurrent update of the same version",
                ),
            }
        }
        assert_eq!(
            winners.len(),
            1,
            "round {round}: not exactly one of several concurrent updates of a version succeeded"
        );
        assert_eq!(
            store.read(&key.key.id),
            winners[0],
            "round {round}: stored an update other than the one that it acknowledged"
        );
    }
}
