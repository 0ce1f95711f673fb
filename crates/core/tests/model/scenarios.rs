//! What happens at the same time: each scenario is one model.

use std::sync::Arc;

use shuttle::thread::{self, JoinHandle};

use crate::{
    KeyId, Name,
    model::{id, row, token},
    promise::Promise,
    store::{Database, Handle, Learnt, Row, TERM},
    time,
    verifier::{Fingerprint, Hashing, Place, TokenMac, Verifier},
};

/// A database with the first keys in it, and a handle of it.
fn open(keys: u32) -> Handle {
    let handle = Handle::own(&Arc::<Database>::default());
    let mut tables = handle.database.tables();
    for number in 1..=keys {
        tables.rows.insert(id(number), row(id(number)));
    }
    drop(tables);
    handle
}

fn join(threads: impl IntoIterator<Item = JoinHandle<()>>) {
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
}

/// Verifies keys, one after the other, as often as is said, on a thread of its own.
fn verifying(verifier: &Verifier, keys: &[u32], times: usize) -> JoinHandle<()> {
    let (verifier, keys) = (verifier.clone(), keys.to_vec());
    thread::spawn(move || {
        for number in keys.iter().cycle().take(times) {
            verifier.verify(id(*number), token(&id(*number)));
        }
    })
}

/// Verifies with another secret.
fn guessing(verifier: &Verifier) -> JoinHandle<()> {
    let verifier = verifier.clone();
    thread::spawn(move || {
        verifier.verify(id(1), TokenMac(0));
    })
}

fn changing(handle: &Handle, change: impl FnOnce(&Handle) + Send + 'static) -> JoinHandle<()> {
    let handle = handle.clone();
    thread::spawn(move || change(&handle))
}

/// Changes one record.
fn change(handle: &Handle, id: KeyId, promise: Promise, change: impl FnOnce(&mut Row)) {
    handle.commit(
        |tables| {
            let row = tables.rows.get_mut(&id).unwrap();
            change(row);
            row.version += 1;
            vec![(id, Some(promise))]
        },
        &[id],
    );
}

fn revoke(handle: &Handle, id: KeyId) {
    change(handle, id, Promise::Refused, |row| {
        row.key.revoked_at = Some(time::timestamp(0));
    });
}

fn rename(handle: &Handle, id: KeyId) {
    let name = Name::parse("after").unwrap();
    let promise = Promise::Called(name.clone());
    change(handle, id, promise, |row| row.key.name = name);
}

/// The key is revoked while it is verified for the first time and again, and renamed before.
pub(crate) fn revocation() {
    let handle = open(1);
    let verifier = Verifier::new(&handle, 8, Hashing::AtOnce);
    join([
        verifying(&verifier, &[1], 3),
        verifying(&verifier, &[1], 2),
        guessing(&verifier),
        changing(&handle, |handle| {
            rename(handle, id(1));
            revoke(handle, id(1));
        }),
    ]);
    verifier.verify(id(1), token(&id(1)));
}

/// The same where the hash takes its time.
pub(crate) fn revocation_during_a_hash() {
    let handle = open(1);
    let verifier = Verifier::new(&handle, 8, Hashing::Slow);
    join([
        verifying(&verifier, &[1], 3),
        verifying(&verifier, &[1], 2),
        changing(&handle, |handle| revoke(handle, id(1))),
    ]);
    verifier.verify(id(1), token(&id(1)));
}

/// A key and one that descends from it are revoked in one commit.
pub(crate) fn cascade() {
    let handle = open(2);
    let verifier = Verifier::new(&handle, 8, Hashing::AtOnce);
    join([
        verifying(&verifier, &[1, 2], 4),
        verifying(&verifier, &[2, 1], 3),
        changing(&handle, |handle| {
            handle.commit(
                |tables| {
                    for row in tables.rows.values_mut() {
                        row.key.revoked_at = Some(time::timestamp(0));
                        row.version += 1;
                    }
                    [1, 2].map(|n| (id(n), Some(Promise::Refused))).into()
                },
                &[id(1), id(2)],
            );
        }),
    ]);
}

/// A key is replaced by another and revoked, in one commit.
pub(crate) fn rotation() {
    let handle = open(1);
    let verifier = Verifier::new(&handle, 8, Hashing::AtOnce);
    join([
        verifying(&verifier, &[1, 2], 4),
        verifying(&verifier, &[1], 2),
        changing(&handle, |handle| {
            handle.commit(
                |tables| {
                    tables.rows.insert(id(2), row(id(2)));
                    let old = tables.rows.get_mut(&id(1)).unwrap();
                    old.key.successor = Some(id(2));
                    old.key.revoked_at = Some(time::timestamp(0));
                    old.version += 1;
                    vec![(id(1), Some(Promise::Refused)), (id(2), None)]
                },
                &[id(1)],
            );
        }),
    ]);
    assert!(verifier.verify(id(2), token(&id(2))));
}

/// A key is given an end, and time goes on over it.
pub(crate) fn expiry() {
    let handle = open(1);
    let verifier = Verifier::new(&handle, 8, Hashing::AtOnce);
    join([
        verifying(&verifier, &[1], 4),
        verifying(&verifier, &[1], 2),
        changing(&handle, |handle| {
            change(handle, id(1), Promise::RefusedFrom(2), |row| {
                row.key.expires_at = Some(time::timestamp(2));
            });
        }),
        thread::spawn(|| (0..3).for_each(|_| time::advance(1))),
    ]);
}

/// There is room for one of two keys, of which one is revoked and then gone.
pub(crate) fn eviction() {
    let handle = open(2);
    let verifier = Verifier::new(&handle, 1, Hashing::AtOnce);
    assert!(
        [1, 2]
            .iter()
            .all(|n| verifier.verify(id(*n), token(&id(*n))))
    );
    join([
        verifying(&verifier, &[1, 1, 2], 5),
        verifying(&verifier, &[2, 1], 4),
        changing(&handle, |handle| {
            revoke(handle, id(1));
            handle.commit(
                |tables| {
                    tables.rows.remove(&id(1));
                    vec![(id(1), Some(Promise::Refused))]
                },
                &[id(1)],
            );
        }),
    ]);
    let (kept, taken_out) = verifier.sizes();
    assert!(
        kept <= 1 && taken_out > 0,
        "{kept} kept, {taken_out} taken out"
    );
}

/// A rename takes away the freshness of what is known and leaves its proof.
pub(crate) fn renaming() {
    let handle = open(1);
    let verifier = Verifier::new(&handle, 8, Hashing::Slow);
    assert!(verifier.verify(id(1), token(&id(1))));
    join([
        verifying(&verifier, &[1], 3),
        verifying(&verifier, &[1], 2),
        guessing(&verifier),
        changing(&handle, |handle| rename(handle, id(1))),
    ]);
    assert!(verifier.verify(id(1), token(&id(1))));
    assert_eq!(verifier.hashes(), 1, "a rename had a secret proven anew");
}

/// The hash is replaced, at the second attempt, and the key revoked.
pub(crate) fn rehash() {
    let handle = open(1);
    let verifier = Verifier::new(&handle, 8, Hashing::AtOnce).with_hash(Fingerprint(2));
    assert!(verifier.verify(id(1), token(&id(1))));
    verifier.replace_next(Place::Taken);
    assert!(verifier.verify(id(1), token(&id(1))));
    assert_eq!(verifier.waiting(), 1, "it is not tried again");
    let replacing = verifier.clone();
    join([
        verifying(&verifier, &[1], 3),
        verifying(&verifier, &[1], 2),
        guessing(&verifier),
        thread::spawn(move || replacing.replace_next(Place::Free)),
        changing(&handle, |handle| revoke(handle, id(1))),
    ]);
    verifier.replace_next(Place::Free);
    verifier.verify(id(1), token(&id(1)));
}

/// A key is revoked through one handle and verified through another, which asks from time to time.
fn another_handle(learnt: Learnt, polls: usize, under_way: u64) {
    let handle = open(1);
    let other = Handle::other(&handle.database);
    let verifier = Verifier::new(&other, 8, Hashing::AtOnce);
    let seen = other.poll(0, learnt, 0);
    assert!(verifier.verify(id(1), token(&id(1))));
    join([
        verifying(&verifier, &[1], 4),
        changing(&handle, |handle| revoke(handle, id(1))),
        changing(&other, move |other| {
            (0..polls).fold(seen, |seen, _| other.poll(seen, learnt, under_way));
        }),
        thread::spawn(|| [TERM, TERM / 2].into_iter().for_each(time::advance)),
    ]);
}

/// It learns which records have changed.
pub(crate) fn lease() {
    another_handle(Learnt::Which, 2, 0);
}

/// It learns only that some have.
pub(crate) fn lease_of_all() {
    another_handle(Learnt::Whether, 2, 0);
}

/// It asks once, and the answer comes when it is worth nothing any more.
pub(crate) fn slow_answer() {
    another_handle(Learnt::Which, 1, TERM);
}
