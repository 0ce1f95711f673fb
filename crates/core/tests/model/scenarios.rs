//! The scenarios. Each is one model, whose threads run concurrently.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use shuttle::thread::{self, JoinHandle};

use crate::{
    Environment, Key, KeyId, Name, Permissions, Workspace,
    promise::Promise,
    runner,
    store::{ChangeDetail, Database, Handle, Record, Settings, TERM},
    time,
    verifier::{Hashing, PLANTED, Pool, Verifier, credential, secret_of},
};

/// Returns the id of a key.
fn id(number: u32) -> KeyId {
    KeyId::parse(&format!("key_0U5lKtf6000000{number:02}")).unwrap()
}

/// Returns the record of a new key.
fn record(id: KeyId) -> Record {
    let key = Key::new(
        id,
        Workspace::parse("default").unwrap(),
        Environment::Live,
        Name::parse("before").unwrap(),
        Permissions::all(),
    );
    Record::new(key, credential('B'))
}

/// Creates a database with this many keys, and its writer.
fn open(keys: u32) -> Handle {
    let handle = Handle::writer(&Arc::<Database>::default());
    let mut tables = handle.database.tables();
    for number in 1..=keys {
        tables.records.insert(id(number), record(id(number)));
    }
    drop(tables);
    handle
}

fn join(threads: impl IntoIterator<Item = JoinHandle<()>>) {
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
}

/// Verifies the key with its own secret.
fn verify(verifier: &Verifier, number: u32) -> bool {
    verifier.verify(id(number), secret_of(&id(number)), None)
}

/// Verifies the keys in turn on a new thread, `times` times in all.
fn verifying(verifier: &Verifier, keys: &[u32], times: usize) -> JoinHandle<()> {
    let (verifier, keys) = (verifier.clone(), keys.to_vec());
    thread::spawn(move || {
        for number in keys.iter().cycle().take(times) {
            verify(&verifier, *number);
        }
    })
}

/// Verifies the first key with a wrong secret on a new thread.
fn guessing(verifier: &Verifier) -> JoinHandle<()> {
    let verifier = verifier.clone();
    thread::spawn(move || {
        verifier.verify(id(1), 0, None);
    })
}

fn changing(handle: &Handle, change: impl FnOnce(&Handle) + Send + 'static) -> JoinHandle<()> {
    let handle = handle.clone();
    thread::spawn(move || change(&handle))
}

/// Verifies the first key from these addresses in turn on a new thread, `times` times in all.
fn verifying_from(verifier: &Verifier, addresses: &[IpAddr], times: usize) -> JoinHandle<()> {
    let (verifier, addresses) = (verifier.clone(), addresses.to_vec());
    thread::spawn(move || {
        for address in addresses.iter().cycle().take(times) {
            verifier.verify(id(1), secret_of(&id(1)), Some(*address));
        }
    })
}

/// Changes one record.
fn change(handle: &Handle, id: KeyId, promise: Promise, change: impl FnOnce(&mut Record)) {
    handle.commit(
        |tables| {
            change(tables.records.get_mut(&id).unwrap());
            vec![(id, Some(promise))]
        },
        &[id],
    );
}

fn revoke(handle: &Handle, id: KeyId) {
    change(handle, id, Promise::Rejected, |record| {
        assert!(record.revoke(time::timestamp(0)));
    });
}

/// Changes the settings of one record.
fn update(handle: &Handle, id: KeyId, promise: Promise, set: impl FnOnce(&mut Settings)) {
    change(handle, id, promise, |record| {
        let mut settings = Settings::from(&record.key);
        set(&mut settings);
        record.update(record.version, settings).unwrap();
    });
}

fn rename(handle: &Handle, id: KeyId) {
    let name = Name::parse("after").unwrap();
    let promise = Promise::Named(name.clone());
    update(handle, id, promise, |settings| settings.name = name);
}

fn narrow(handle: &Handle, id: KeyId) {
    let permissions: Permissions = "calls:read".parse().unwrap();
    let promise = Promise::Permitted(permissions.clone());
    update(handle, id, promise, |settings| {
        settings.permissions = permissions;
    });
}

fn pause(handle: &Handle, id: KeyId) {
    update(handle, id, Promise::Rejected, |settings| {
        settings.enabled = false;
    });
}

/// A key is renamed and then revoked while it is verified, both for the first time and again.
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
    verify(&verifier, 1);
}

/// A key is revoked while its hash is being computed.
pub(crate) fn revocation_during_a_hash() {
    let handle = open(1);
    let verifier = Verifier::new(&handle, 8, Hashing::Slow);
    join([
        verifying(&verifier, &[1], 3),
        verifying(&verifier, &[1], 2),
        changing(&handle, |handle| revoke(handle, id(1))),
    ]);
    verify(&verifier, 1);
}

/// The permissions of a key are narrowed, and then the key is paused, while it is verified.
pub(crate) fn narrowing_and_pause() {
    let handle = open(1);
    let verifier = Verifier::new(&handle, 8, Hashing::AtOnce);
    join([
        verifying(&verifier, &[1], 3),
        verifying(&verifier, &[1], 2),
        guessing(&verifier),
        changing(&handle, |handle| {
            narrow(handle, id(1));
            pause(handle, id(1));
        }),
    ]);
    verify(&verifier, 1);
}

/// A key is paused while its hash is being computed.
pub(crate) fn pause_during_a_hash() {
    let handle = open(1);
    let verifier = Verifier::new(&handle, 8, Hashing::Slow);
    join([
        verifying(&verifier, &[1], 3),
        verifying(&verifier, &[1], 2),
        changing(&handle, |handle| pause(handle, id(1))),
    ]);
    verify(&verifier, 1);
}

/// One of two addresses is removed from a key while it is verified from both, and from an unknown
/// address.
pub(crate) fn removed_address() {
    const REMOVED: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const KEPT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
    let handle = open(1);
    let both = format!("{REMOVED},{KEPT}").parse().unwrap();
    let mut tables = handle.database.tables();
    tables.records.get_mut(&id(1)).unwrap().key.allowed_ips = Some(both);
    drop(tables);
    let verifier = Verifier::new(&handle, 8, Hashing::AtOnce);
    join([
        verifying_from(&verifier, &[REMOVED], 3),
        verifying_from(&verifier, &[KEPT, REMOVED], 4),
        verifying(&verifier, &[1], 1),
        changing(&handle, |handle| {
            update(handle, id(1), Promise::RejectedAt(REMOVED), |settings| {
                settings.allowed_ips = Some(KEPT.to_string().parse().unwrap());
            });
        }),
    ]);
    let secret = secret_of(&id(1));
    verifier.verify(id(1), secret, Some(REMOVED));
    assert!(verifier.verify(id(1), secret, Some(KEPT)));
    assert!(!verify(&verifier, 1), "accepted from an unknown address");
}

/// A key and its descendant are revoked in one commit.
pub(crate) fn cascade() {
    let handle = open(2);
    let verifier = Verifier::new(&handle, 8, Hashing::AtOnce);
    join([
        verifying(&verifier, &[1, 2], 4),
        verifying(&verifier, &[2, 1], 3),
        changing(&handle, |handle| {
            handle.commit(
                |tables| {
                    for record in tables.records.values_mut() {
                        record.key.revoked_at = Some(time::timestamp(0));
                        record.version += 1;
                    }
                    [1, 2].map(|n| (id(n), Some(Promise::Rejected))).into()
                },
                &[id(1), id(2)],
            );
        }),
    ]);
}

/// A key is replaced with a successor and revoked, in one commit.
pub(crate) fn rotation() {
    let handle = open(1);
    let verifier = Verifier::new(&handle, 8, Hashing::AtOnce);
    join([
        verifying(&verifier, &[1, 2], 4),
        verifying(&verifier, &[1], 2),
        changing(&handle, |handle| {
            handle.commit(
                |tables| {
                    tables.records.insert(id(2), record(id(2)));
                    let old = tables.records.get_mut(&id(1)).unwrap();
                    old.key.successor = Some(id(2));
                    old.key.revoked_at = Some(time::timestamp(0));
                    old.version += 1;
                    vec![(id(1), Some(Promise::Rejected)), (id(2), None)]
                },
                &[id(1)],
            );
        }),
    ]);
    assert!(verify(&verifier, 2));
}

/// A key is given an expiry, and expires.
pub(crate) fn expiry() {
    let handle = open(1);
    let verifier = Verifier::new(&handle, 8, Hashing::AtOnce);
    join([
        verifying(&verifier, &[1], 4),
        verifying(&verifier, &[1], 2),
        changing(&handle, |handle| {
            update(handle, id(1), Promise::RejectedFrom(2), |settings| {
                settings.expires_at = Some(time::timestamp(2));
            });
        }),
        thread::spawn(|| (0..3).for_each(|_| time::advance(1))),
    ]);
}

/// The cache has room for one of two keys, of which one is revoked and then deleted.
pub(crate) fn eviction() {
    let handle = open(2);
    let verifier = Verifier::new(&handle, 1, Hashing::AtOnce);
    assert!([1, 2].iter().all(|number| verify(&verifier, *number)));
    join([
        verifying(&verifier, &[1, 1, 2], 5),
        verifying(&verifier, &[2, 1], 4),
        changing(&handle, |handle| {
            revoke(handle, id(1));
            handle.commit(
                |tables| {
                    tables.records.remove(&id(1));
                    vec![(id(1), Some(Promise::Rejected))]
                },
                &[id(1)],
            );
        }),
    ]);
    let (cached, evicted) = verifier.sizes();
    assert!(
        cached <= 1 && evicted > 0,
        "{cached} cached, {evicted} evicted"
    );
}

/// The cache has room for one of two imported keys, of which one is revoked. Each route goes with
/// its entry.
pub(crate) fn eviction_of_imported_keys() {
    let handle = open(2);
    for record in handle.database.tables().records.values_mut() {
        record.key.imported = true;
    }
    let verifier = Verifier::new(&handle, 1, Hashing::AtOnce);
    for number in [1, 2] {
        assert!(verifier.verify_imported(id(number), secret_of(&id(number))));
    }
    let verifying = |keys: &'static [u32]| {
        let verifier = verifier.clone();
        thread::spawn(move || {
            for number in keys {
                verifier.verify_imported(id(*number), secret_of(&id(*number)));
            }
        })
    };
    join([
        verifying(&[1, 1, 2, 1]),
        verifying(&[2, 1, 2]),
        changing(&handle, |handle| revoke(handle, id(1))),
    ]);
    verifier.verify_imported(id(1), secret_of(&id(1)));
    let (cached, evicted) = verifier.sizes();
    assert!(
        cached <= 1 && evicted > 0,
        "{cached} cached, {evicted} evicted"
    );
    assert!(verifier.routes() <= cached, "a route has no entry");
}

/// A rename makes the record stale, but leaves the proof valid.
pub(crate) fn renaming() {
    let handle = open(1);
    let verifier = Verifier::new(&handle, 8, Hashing::Slow);
    assert!(verify(&verifier, 1));
    join([
        verifying(&verifier, &[1], 3),
        verifying(&verifier, &[1], 2),
        guessing(&verifier),
        changing(&handle, |handle| rename(handle, id(1))),
    ]);
    assert!(verify(&verifier, 1));
    assert_eq!(
        verifier.hashes(),
        1,
        "the secret was hashed again after a rename"
    );
}

/// A hash is replaced at the second attempt, while the key is revoked.
pub(crate) fn rehash() {
    let handle = open(1);
    let verifier = Verifier::with_current(&handle, 8, Hashing::AtOnce, credential('C'));
    assert!(verify(&verifier, 1));
    verifier.replace_next(Pool::Busy);
    assert!(verify(&verifier, 1));
    assert_eq!(verifier.waiting(), 1, "the rehash was not retried");
    let replacing = verifier.clone();
    join([
        verifying(&verifier, &[1], 3),
        verifying(&verifier, &[1], 2),
        guessing(&verifier),
        thread::spawn(move || replacing.replace_next(Pool::Free)),
        changing(&handle, |handle| revoke(handle, id(1))),
    ]);
    verifier.replace_next(Pool::Free);
    verify(&verifier, 1);
}

/// The pool is busy when a hash is to be replaced, so that a later verification must queue it
/// again.
pub(crate) fn rehash_on_a_busy_pool() {
    let handle = open(1);
    let verifier = Verifier::with_current(&handle, 8, Hashing::AtOnce, credential('C'));
    let replacing = verifier.clone();
    join([
        verifying(&verifier, &[1], 1),
        thread::spawn(move || (0..4).for_each(|_| replacing.replace_next(Pool::Busy))),
    ]);
    verifier.replace_next(Pool::Busy);
    assert!(verify(&verifier, 1));
    if verifier.waiting() == 0 {
        runner::violated("the rehash was not retried");
    }
}

/// A key is changed through one handle and verified through another, which polls.
fn another_handle(change: fn(&Handle, KeyId), detail: ChangeDetail, polls: usize, latency: u64) {
    let handle = open(1);
    let other = Handle::reader(&handle.database);
    let verifier = Verifier::new(&other, 8, Hashing::AtOnce);
    let seen = other.poll(0, detail, 0);
    assert!(verify(&verifier, 1));
    join([
        verifying(&verifier, &[1], 4),
        changing(&handle, move |handle| change(handle, id(1))),
        changing(&other, move |other| {
            (0..polls).fold(seen, |seen, _| other.poll(seen, detail, latency));
        }),
        thread::spawn(|| [TERM, TERM / 2].into_iter().for_each(time::advance)),
    ]);
}

/// The other handle receives the ids of the changed records.
pub(crate) fn lease() {
    another_handle(revoke, ChangeDetail::Ids, 2, 0);
}

/// The other handle receives only the fact that some record has changed.
pub(crate) fn lease_of_all() {
    another_handle(revoke, ChangeDetail::Any, 2, 0);
}

/// The other handle polls once, and the lease has lapsed when the response arrives.
pub(crate) fn slow_response() {
    another_handle(revoke, ChangeDetail::Ids, 1, TERM);
}

/// The key is paused, and the other handle receives its id.
pub(crate) fn lease_of_a_pause() {
    another_handle(pause, ChangeDetail::Ids, 2, 0);
}

/// The permissions of the key are narrowed, and the other handle receives its id.
pub(crate) fn lease_of_narrowed_permissions() {
    another_handle(narrow, ChangeDetail::Ids, 2, 0);
}

/// Opens one key whose hash was planted next to its tag.
fn open_planted() -> (Handle, Verifier) {
    let handle = open(1);
    let mut tables = handle.database.tables();
    tables.records.get_mut(&id(1)).unwrap().credential = credential(PLANTED);
    drop(tables);
    let verifier = Verifier::new(&handle, 8, Hashing::ByTag);
    (handle, verifier)
}

/// Does something with a verifier on a new thread.
fn doing(verifier: &Verifier, act: impl FnOnce(&Verifier) + Send + 'static) -> JoinHandle<()> {
    let verifier = verifier.clone();
    thread::spawn(move || act(&verifier))
}

/// A tag proves a secret until the check of its hash fails.
pub(crate) fn planted_hash() {
    let (_handle, verifier) = open_planted();
    join([
        verifying(&verifier, &[1], 3),
        verifying(&verifier, &[1], 3),
        guessing(&verifier),
        doing(&verifier, |verifier| {
            (0..4).for_each(|_| verifier.check_next());
        }),
    ]);
    verifier.check_next();
    if verify(&verifier, 1) {
        runner::violated("accepted although the check has failed");
    }
}

/// The record is read again while the check of its hash waits and fails.
pub(crate) fn planted_hash_of_a_changed_record() {
    let (handle, verifier) = open_planted();
    join([
        verifying(&verifier, &[1], 3),
        verifying(&verifier, &[1], 3),
        changing(&handle, |handle| {
            rename(handle, id(1));
            rename(handle, id(1));
        }),
        doing(&verifier, |verifier| {
            (0..2).for_each(|_| verifier.check_next());
        }),
    ]);
    verifier.check_next();
    if verify(&verifier, 1) {
        runner::violated("accepted although the check has failed");
    }
}

/// A key is revoked between its acceptance by tag and the check of its hash.
pub(crate) fn revocation_before_a_check() {
    let handle = open(1);
    let verifier = Verifier::new(&handle, 8, Hashing::ByTag);
    join([
        verifying(&verifier, &[1], 3),
        verifying(&verifier, &[1], 2),
        doing(&verifier, |verifier| {
            (0..3).for_each(|_| verifier.check_next());
        }),
        changing(&handle, |handle| revoke(handle, id(1))),
    ]);
    verifier.check_next();
    verify(&verifier, 1);
}

/// The queue has no place for a check. The next verification queues it again, so no proof by tag
/// stays without a check.
pub(crate) fn rejected_check() {
    let (_handle, verifier) = open_planted();
    join([
        verifying(&verifier, &[1], 3),
        verifying(&verifier, &[1], 3),
        doing(&verifier, |verifier| {
            (0..2).for_each(|_| verifier.reject_check());
        }),
    ]);
    verify(&verifier, 1);
    if verifier.checks() == 0 {
        runner::violated("a proof by tag has no check");
    }
    verifier.check_next();
    if verify(&verifier, 1) {
        runner::violated("accepted although the check has failed");
    }
}

/// Two verifications accept a key by its tag while its check passes. Its outdated hash is still
/// replaced.
pub(crate) fn replacement_after_a_check() {
    let handle = open(1);
    let verifier = Verifier::with_current(&handle, 8, Hashing::ByTag, credential('C'));
    join([
        verifying(&verifier, &[1], 2),
        verifying(&verifier, &[1], 2),
        doing(&verifier, |verifier| {
            (0..3).for_each(|_| verifier.check_next());
        }),
    ]);
    while verifier.checks() > 0 {
        verifier.check_next();
    }
    for _ in 0..3 {
        assert!(verify(&verifier, 1));
    }
    if verifier.waiting() == 0 && verifier.checks() == 0 {
        runner::violated("the hash is never replaced");
    }
}
