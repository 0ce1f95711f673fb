//! Clause 7: an update replaces what it names, in the version that was read.

use super::{
    Harness,
    fixture::{
        assert_refused, at, child_of, credential, expiring, in_version, name, now, record,
        successor_of,
    },
    handle::{Handle, race},
};
use crate::{Key, Metadata, Reach, Record, Rename, Retire, StoreErrorKind};

/// Clause 7, conditional update.
pub fn conditional_update(harness: &impl Harness) {
    let handles = Handle::open_three(harness);
    let [store, other, _] = &handles;
    rename_replaces_what_it_names(store, other);
    rehash_replaces_the_credential(store, other);
    versions_grow_by_one(store);
    other_versions_are_refused(store);
    neither_unknown_nor_revoked_keys_are_updated(store);
    one_of_many_wins(&handles);
}

fn metadata(json: &str) -> Metadata {
    Metadata::parse(json).unwrap()
}

fn to_name(text: &str) -> Rename {
    Rename::new(Some(name(text)), None)
}

fn rename_replaces_what_it_names<H: Harness>(store: &Handle<'_, H>, other: &Handle<'_, H>) {
    let bystander = store.add(record("bystander"));
    for noted in [None, Some(metadata(r#"{"old":true}"#))] {
        // Expiry is no reason to refuse: only revocation is.
        let mut current = expiring(record("old"), at(-1));
        current.key.parent = Some(bystander.key.id);
        current.key.metadata = noted;
        let mut current = store.add(current);
        for rename in [
            to_name("new"),
            Rename::new(None, Some(metadata(r#"{"new":1}"#))),
            Rename::new(Some(name("newer")), Some(metadata("{}"))),
        ] {
            let answer = store.rename(&current, &rename);
            current.key.name = rename.name.unwrap_or(current.key.name);
            current.key.metadata = rename.metadata.or(current.key.metadata);
            current.version += 1;
            let renamed = answer.expect("a key in its present version is renamed");
            assert_eq!(
                renamed, current.key,
                "a rename answers with the key as it is now"
            );
            let found = other.read(&current.key.id);
            assert_eq!(
                found, current,
                "a rename replaces what it names and nothing else"
            );
        }
    }
    assert_eq!(
        store.read(&bystander.key.id),
        bystander,
        "a rename has changed another key"
    );
}

fn rehash_replaces_the_credential<H: Harness>(store: &Handle<'_, H>, other: &Handle<'_, H>) {
    let bystander = store.add(record("bystander"));
    let mut current = store.add(expiring(record("rehashed"), at(-1)));
    for number in [5, 6] {
        let answer = store.rehash(&current, &credential(number));
        assert!(
            answer.is_ok(),
            "a key in its present version is rehashed, but: {answer:?}"
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
            "the tag goes with the hash"
        );
        assert_eq!(
            found, current,
            "a rehash replaces hash and tag and nothing else"
        );
    }
    assert_eq!(
        store.read(&bystander.key.id),
        bystander,
        "a rehash has changed another key"
    );
}

fn versions_grow_by_one<H: Harness>(store: &Handle<'_, H>) {
    let key = store.add(record("versions"));
    let child = store.add(child_of(&key));
    let read = || store.read(&key.key.id);
    assert_eq!(
        read().version,
        1,
        "a record begins with the version it was inserted in"
    );
    store
        .rename(&read(), &to_name("new"))
        .expect("a key is renamed");
    assert_eq!(read().version, 2, "a rename counts");
    store
        .rehash(&read(), &credential(5))
        .expect("a key is rehashed");
    assert_eq!(read().version, 3, "a rehash counts");
    let successor = successor_of(&key);
    store
        .rotate(&read(), Retire::At(at(500)), &successor, now())
        .expect("a key is rotated");
    assert_eq!(read().version, 4, "a rotation counts");
    assert_eq!(
        store.read(&successor.key.id).version,
        1,
        "a successor is a new record"
    );
    store
        .revoke(&key, Reach::Descendants, now())
        .expect("a key is revoked");
    assert_eq!(read().version, 5, "a revocation counts");
    let version = store.read(&child.key.id).version;
    assert_eq!(version, 2, "a revocation counts for each key it reaches");
    store
        .revoke(&key, Reach::Descendants, now())
        .expect("a key is revoked again");
    assert_eq!(
        read().version,
        5,
        "a revocation that changes nothing does not count"
    );
}

fn other_versions_are_refused<H: Harness>(store: &Handle<'_, H>) {
    let key = store.add(record("changed"));
    store
        .rename(&key, &to_name("changed once"))
        .expect("a key is renamed");
    let current = store.read(&key.key.id);
    for version in [0, 1, 3, u64::MAX] {
        let known = in_version(version, &current);
        let answer = store.rename(&known, &to_name("late"));
        assert_refused(
            answer,
            StoreErrorKind::Conflict,
            "a rename of another version",
        );
        let answer = store.rehash(&known, &credential(8));
        assert_refused(
            answer,
            StoreErrorKind::Conflict,
            "a rehash of another version",
        );
        assert_eq!(
            store.read(&key.key.id),
            current,
            "a refused update has changed the record"
        );
    }
}

fn neither_unknown_nor_revoked_keys_are_updated<H: Harness>(store: &Handle<'_, H>) {
    let revoked = store.add(record("revoked"));
    store.withdraw(&revoked);
    let unknown = record("never inserted");
    for (known, what) in [
        (unknown, "an unknown key"),
        (store.read(&revoked.key.id), "a revoked key"),
        (revoked, "a key that was revoked since"),
    ] {
        let before = store.find(&known.key.id);
        let answer = store.rename(&known, &to_name("late"));
        assert_refused(
            answer,
            StoreErrorKind::NotFound,
            &format!("a rename of {what}"),
        );
        let answer = store.rehash(&known, &credential(8));
        assert_refused(
            answer,
            StoreErrorKind::NotFound,
            &format!("a rehash of {what}"),
        );
        assert_eq!(
            store.find(&known.key.id),
            before,
            "an update of {what} was refused, but done"
        );
    }
}

fn one_of_many_wins<H: Harness>(handles: &[Handle<'_, H>]) {
    let [store, ..] = handles else { unreachable!() };
    for round in 0..10 {
        let key = store.add(record("updated by many"));
        let answers = race(handles, 6, |thread, store| {
            let mut updated = key.clone();
            let answer = if thread % 2 == 0 {
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
            (in_version(2, &updated), answer)
        });
        let mut winners = Vec::new();
        for (updated, answer) in answers {
            match answer {
                Ok(()) => winners.push(updated),
                refused => assert_refused(refused, StoreErrorKind::Conflict, "all but one update"),
            }
        }
        assert_eq!(
            winners.len(),
            1,
            "round {round}: of concurrent updates of one version one wins"
        );
        assert_eq!(
            store.read(&key.key.id),
            winners[0],
            "round {round}: the winner's is stored"
        );
    }
}
