//! Clause 7: an update replaces all settings together and nothing else, and only in the version
//! that was read.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{
    fixture::{
        assert_rejected, at, child_of, credential, expiring, in_version, name, now, record,
        record_in, successor_of,
    },
    handle::{Handle, race},
    harness::Harness,
};
use crate::{
    Attributes, Key, ListKeys, Metadata, Owner, Permissions, Reach, VersionedKey,
    store::{Retire, StoreErrorKind},
};

/// Tests clause 7, conditional update.
pub fn conditional_update(harness: &impl Harness) {
    let handles = Handle::open_three(harness);
    let [store, other, _] = &handles;
    update_replaces_only_the_settings(store, other);
    rehash_replaces_only_the_credential(store, other);
    each_change_increments_the_version(store);
    other_versions_are_rejected(store);
    unknown_and_revoked_keys_are_not_updated(store);
    one_concurrent_update_succeeds(&handles);
    no_reader_sees_a_mixture_of_two_updates(&handles);
}

/// Changes one setting of a key.
type ChangeSetting = fn(&mut Key);

/// Sets each setting to a value that depends on `number`.
fn set_all(key: &mut Key, number: u8) {
    let object = format!(r#"{{"number":{number}}}"#);
    key.name = name(&format!("number {number}"));
    key.permissions = format!("calls:p{number}").parse().unwrap();
    key.metadata = Some(Metadata::parse(&object).unwrap());
    key.attributes = Some(Attributes::parse(&object).unwrap());
    key.enabled = number.is_multiple_of(2);
    key.expires_at = Some(at(1_000 + i64::from(number)));
    key.allowed_ips = Some(format!("192.0.2.{number}").parse().unwrap());
}

/// Two changes of each setting.
const CHANGES: [ChangeSetting; 14] = [
    |key| key.name = name("new"),
    |key| key.name = name("newer"),
    |key| key.permissions = Permissions::default(),
    |key| key.permissions = "a,b:*".parse().unwrap(),
    |key| key.metadata = Some(Metadata::parse(r#"{"new":1}"#).unwrap()),
    |key| key.metadata = None,
    |key| key.attributes = Some(Attributes::parse(r#"{"plan":"pro"}"#).unwrap()),
    |key| key.attributes = None,
    |key| key.enabled = false,
    |key| key.enabled = true,
    |key| key.expires_at = Some(at(1_000)),
    |key| key.expires_at = None,
    |key| key.allowed_ips = Some("192.0.2.0/24,2001:db8::1".parse().unwrap()),
    |key| key.allowed_ips = None,
];

fn update_replaces_only_the_settings<H: Harness>(store: &Handle<'_, H>, other: &Handle<'_, H>) {
    let bystander = store.add(record("bystander"));
    let predecessor = store.add(record("predecessor"));
    // An expired key can be updated. A revoked key cannot.
    let mut current = expiring(record("old"), at(-1));
    current.key.owner = Some(Owner::parse("user:1").unwrap());
    current.key.parent = Some(bystander.key.id);
    current.key.predecessor = Some(predecessor.key.id);
    let mut current = store.add(current);
    // One after another, and then all of them together.
    let all: ChangeSetting = |key| CHANGES.iter().step_by(2).for_each(|change| change(key));
    for change in CHANGES.into_iter().chain([all]) {
        let mut changed = current.key.clone();
        change(&mut changed);
        let updated = store
            .update(&current, &changed)
            .expect("the store failed to update the current version of a key");
        current.key = changed;
        current.version += 1;
        assert_eq!(
            updated,
            VersionedKey::new(current.key.clone(), current.version),
            "an update did not return the key with its changes and its version"
        );
        let found = other.read(&current.key.id);
        assert_eq!(
            found, current,
            "an update did not replace exactly the settings that it was given"
        );
    }
    for untouched in [bystander, predecessor] {
        assert_eq!(
            store.read(&untouched.key.id),
            untouched,
            "an update changed another key"
        );
    }
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
        current.credential = credential(number);
        current.version += 1;
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
        .rename(&read(), "new")
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
        .rename(&key, "changed once")
        .expect("the store failed to rename a key");
    let current = store.read(&key.key.id);
    for version in [0, 1, 3, u64::MAX] {
        let claimed = in_version(version, &current);
        let mut late = current.key.clone();
        set_all(&mut late, 1);
        assert_rejected(
            store.update(&claimed, &late),
            StoreErrorKind::Conflict,
            "an update of another version",
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
        let mut late = claimed.key.clone();
        set_all(&mut late, 1);
        assert_rejected(
            store.update(&claimed, &late),
            StoreErrorKind::NotFound,
            &format!("an update of {key}"),
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
                set_all(&mut updated.key, [0, 1, 2, 3, 4, 5][thread]);
                store.update(&key, &updated.key).map(drop)
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

/// One thread updates all settings again and again while others read and list them.
fn no_reader_sees_a_mixture_of_two_updates<H: Harness>(handles: &[Handle<'_, H>]) {
    const UPDATES: u8 = 20;
    let [store, ..] = handles else { unreachable!() };
    let mut first = record_in("mixtures", "updated again and again");
    set_all(&mut first.key, 0);
    let first = store.add(first);
    let states: Vec<Key> = (0..=UPDATES)
        .map(|number| {
            let mut key = first.key.clone();
            set_all(&mut key, number);
            key
        })
        .collect();
    let finished = AtomicBool::new(false);
    race(handles, 5, |thread, store| {
        if thread == 0 {
            let mut current = first.clone();
            for number in 1..=UPDATES {
                current = store.change(&current, |key| set_all(key, number));
            }
            finished.store(true, Ordering::SeqCst);
            return;
        }
        // The limit ends the loop if an update panics.
        for _ in 0..10_000 {
            let last = finished.load(Ordering::SeqCst);
            let key = if thread % 2 == 0 {
                store.read(&first.key.id).key
            } else {
                let mut page = store.list(&first.key.workspace, &ListKeys::new());
                page.keys.swap_remove(0)
            };
            assert!(
                states.contains(&key),
                "returned a mixture of the settings of two updates: {key:?}"
            );
            if last {
                assert_eq!(
                    Some(&key),
                    states.last(),
                    "returned other settings than those of the last update"
                );
                break;
            }
        }
    });
}
