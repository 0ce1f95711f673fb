//! Replacement of outdated hashes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use keywright_core::{
    Config, Denied, Issued, Keywright, Pepper, PepperId, PepperRing, Scheme, Undecided,
    VerifyError, error::HashError, store::KeyStore,
};
use pollster::block_on;

use crate::world::{World, argon2, await_that, cheap, prefix};

/// Returns a ring of these peppers, the newest last.
pub(crate) fn ring(ids: &[&str]) -> PepperRing {
    ids.iter().fold(PepperRing::default(), |ring, id| {
        let key = [id.as_bytes()[1]; 32];
        ring.with_newest(Pepper::new(PepperId::parse(id).unwrap(), &key).unwrap())
            .unwrap()
    })
}

fn hashing_with(scheme: Scheme, peppers: &[&str]) -> impl FnOnce(Config) -> Config {
    let ring = ring(peppers);
    move |config| config.with_scheme(scheme).with_peppers(ring)
}

/// Verifies all keys on several threads until each has a new hash.
fn verify_until_replaced(world: &World, keys: &[Issued]) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    for issued in keys {
                        assert_eq!(world.verify(&issued.token).unwrap().key().id, issued.key.id);
                    }
                }
            });
        }
        await_that(|| {
            keys.iter()
                .all(|issued| world.store.record(&issued.key.id).version > 1)
        });
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn scheme_parameters_and_pepper_are_replaced_once_for_each_key_under_load() {
    for (old, old_ring, new, new_ring) in [
        (Scheme::HmacSha256, &[][..], cheap(), &[][..]),
        (cheap(), &[], argon2(64, 2), &[]),
        (argon2(64, 2), &[], cheap(), &[]),
        (cheap(), &[], Scheme::HmacSha256, &[]),
        (cheap(), &[], cheap(), &["p1"]),
        (cheap(), &["p1"], cheap(), &["p1", "p2"]),
        (
            Scheme::HmacSha256,
            &["p1"],
            Scheme::HmacSha256,
            &["p1", "p2"],
        ),
    ] {
        let before = World::with(hashing_with(old, old_ring));
        let keys = before.issue_many(50);
        let world = before.reopened(hashing_with(new, new_ring));
        verify_until_replaced(&world, &keys);
        // Dropping the library finishes the work in progress.
        let World {
            clock,
            store,
            keys: library,
            ..
        } = world;
        drop(library);
        assert_eq!(store.rehashes(), 50);
        for issued in &keys {
            let record = store.record(&issued.key.id);
            assert_eq!(
                (record.version, record.credential.hash.scheme()),
                (2, Some(new))
            );
        }
        // The old peppers are no longer needed.
        let config = Config::new(prefix()).with_clock(clock);
        let newest = &new_ring[new_ring.len().saturating_sub(1)..];
        let config = hashing_with(new, newest)(config);
        let store = Arc::clone(&store) as Arc<dyn KeyStore>;
        let reopened = block_on(Keywright::open(config, store)).unwrap();
        for issued in &keys {
            let token = issued.token.expose().as_bytes();
            block_on(reopened.verifier().verify(token)).unwrap();
        }
    }
}

#[test]
fn a_key_whose_pepper_was_removed_is_undecided_and_not_denied() {
    for scheme in [cheap(), Scheme::HmacSha256] {
        let before = World::with(hashing_with(scheme, &["p1"]));
        let issued = before.issue();
        for peppers in [&[][..], &["p2"]] {
            let world = before.reopened(hashing_with(scheme, peppers));
            let result = block_on(
                world
                    .keys
                    .verifier()
                    .verify(issued.token.expose().as_bytes()),
            );
            assert!(
                matches!(
                    result,
                    Err(VerifyError::Undecided(Undecided::Hash(
                        HashError::UnknownPepper
                    )))
                ),
                "{result:?}"
            );
        }
    }
}

#[test]
fn a_key_that_is_revoked_while_its_hash_is_replaced_stays_revoked() {
    let before = World::with(hashing_with(cheap(), &["p1"]));
    let issued = before.issue();
    let id = issued.key.id;
    let world = before.reopened(hashing_with(cheap(), &["p1", "p2"]));
    let other = before.clone();
    world.store.before_rehash(move || other.revoke(&id));
    world.verify(&issued.token).unwrap();
    await_that(|| world.store.record(&id).key.revoked_at.is_some());
    for _ in 0..100 {
        assert_eq!(world.denied(&issued.token), Denied::Revoked(id));
    }
    let store = Arc::clone(&world.store);
    drop(world);
    let record = store.record(&id);
    assert!(record.key.revoked_at.is_some());
    assert_eq!((record.version, store.rehashes()), (2, 0));
}

#[test]
fn keys_that_are_revoked_at_any_time_during_the_replacement_stay_revoked() {
    let before = World::with(hashing_with(cheap(), &["p1"]));
    let keys = before.issue_many(200);
    let world = before.reopened(hashing_with(cheap(), &["p1", "p2"]));
    for (number, issued) in keys.iter().enumerate() {
        let id = issued.key.id;
        world.verify(&issued.token).unwrap();
        for _ in 0..number {
            std::hint::spin_loop();
        }
        world.revoke(&id);
        assert_eq!(world.denied(&issued.token), Denied::Revoked(id));
    }
    let store = Arc::clone(&world.store);
    let reopened = before.reopened(hashing_with(cheap(), &["p1", "p2"]));
    drop(world);
    for issued in &keys {
        assert!(store.record(&issued.key.id).key.revoked_at.is_some());
        assert_eq!(
            reopened.denied(&issued.token),
            Denied::Revoked(issued.key.id)
        );
    }
}

#[test]
fn a_hash_that_is_not_replaced_because_of_a_rename_is_replaced_after_the_next_use() {
    let before = World::with(hashing_with(cheap(), &["p1"]));
    let issued = before.issue();
    let id = issued.key.id;
    let world = before.reopened(hashing_with(cheap(), &["p1", "p2"]));
    let other = before.clone();
    world
        .store
        .before_rehash(move || drop(other.rename(&id, "renamed")));
    await_that(|| {
        world.verify(&issued.token).unwrap();
        world.store.rehashes() == 1
    });
    let record = world.store.record(&id);
    assert_eq!((record.version, record.key.name.as_str()), (3, "renamed"));
    assert_eq!(
        world.verify(&issued.token).unwrap().key().name.as_str(),
        "renamed"
    );
}

#[test]
fn a_token_is_proven_for_the_hash_that_replaces_its_old_hash() {
    let before = World::with(hashing_with(Scheme::HmacSha256, &[]));
    let [issued, next] = [(); 2].map(|()| before.issue());
    let world = before.reopened(hashing_with(cheap(), &[]));
    world.verify(&issued.token).unwrap();
    // One hash is replaced after another, so the first is complete once the second is replaced.
    world.verify(&next.token).unwrap();
    await_that(|| world.store.rehashes() == 2);
    let again = || drop(world.verify(&issued.token).unwrap());
    assert_eq!(world.cost(again), (0, 0));
}

#[test]
fn a_hash_that_is_not_queued_because_the_queue_is_full_is_replaced_later() {
    // One hash is being replaced, 64 wait, and the rest must be queued again.
    let before = World::with(hashing_with(Scheme::HmacSha256, &[]));
    let keys = before.issue_many(70);
    let world = before.reopened(hashing_with(cheap(), &[]));
    let (resume, resumed) = mpsc::channel::<()>();
    world.store.before_rehash(move || resumed.recv().unwrap());
    let verify_all = || {
        for issued in &keys {
            world.verify(&issued.token).unwrap();
        }
    };
    verify_all();
    resume.send(()).unwrap();
    await_that(|| {
        verify_all();
        world.store.rehashes() == 70
    });
}

/// Drops the library while one hash is being replaced and another waits, and lets the replacement
/// finish after `delay`. Returns the number of hashes that were replaced.
fn rehashes_during_a_drop(delay: Duration) -> u64 {
    let before = World::with(hashing_with(Scheme::HmacSha256, &[]));
    let [first, second] = [(); 2].map(|()| before.issue());
    let World {
        clock, store, keys, ..
    } = before.reopened(hashing_with(cheap(), &[]));
    let (start, started) = mpsc::channel();
    let (resume, resumed) = mpsc::channel();
    store.before_rehash(move || {
        start.send(()).unwrap();
        resumed.recv().unwrap();
    });
    let verify = |issued: &Issued| {
        let token = issued.token.expose().as_bytes();
        block_on(keys.verifier().verify(token)).unwrap();
    };
    verify(&first);
    started.recv().unwrap();
    verify(&second);
    let resuming = thread::spawn(move || {
        thread::sleep(delay);
        resume.send(()).unwrap();
    });
    drop(keys);
    for issued in [first, second] {
        assert_eq!(store.touches(&issued.key.id), [clock.millis()]);
    }
    resuming.join().unwrap();
    let rehashes = store.rehashes();
    assert!((1..=2).contains(&rehashes), "{rehashes}");
    rehashes
}

#[test]
fn dropping_the_library_waits_for_last_uses_and_only_for_the_hash_in_progress() {
    // The second hash is also replaced if this thread has not begun to drop the library within the
    // delay. On a busy machine, try again with a longer delay.
    let delays = [10, 100, 1_000, 10_000, 60_000].map(Duration::from_millis);
    assert!(
        delays
            .into_iter()
            .any(|delay| rehashes_during_a_drop(delay) == 1)
    );
}
