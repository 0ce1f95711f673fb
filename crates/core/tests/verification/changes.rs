//! Changes of records that are cached.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use keywright_core::{
    Denied, Scheme, VerifyError,
    store::{KeyStore, Lease},
};

use crate::world::World;

#[test]
fn ten_thousand_keys_that_change_are_read_again_but_not_hashed_again() {
    let world = World::new();
    let keys = world.issue_many(10_000);
    for issued in &keys {
        world.verify(&issued.token).unwrap();
    }
    let rename = || {
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for issued in keys.iter().step_by(5_000) {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        world.verify(&issued.token).unwrap();
                    }
                });
            }
            for issued in &keys {
                world.rename(&issued.key.id, "renamed");
            }
            done.store(true, Ordering::Relaxed);
        });
    };
    assert_eq!(world.cost(rename).1, 0);
    let verify = || {
        for issued in &keys {
            let verified = world.verify(&issued.token).unwrap();
            assert_eq!(verified.key().name.as_str(), "renamed");
        }
    };
    let (finds, runs) = world.cost(verify);
    assert!(finds >= 9_990, "{finds} records were read again");
    assert_eq!(runs, 0);
    // After that, they are not even read again.
    assert_eq!(world.cost(verify), (0, 0));
}

#[test]
fn without_a_lease_each_verification_reads_the_record_but_does_not_hash_again() {
    let world = World::leased(Lease::lapsed(), |config| config);
    let keys = world.issue_many(100);
    let verify = || {
        for issued in &keys {
            world.verify(&issued.token).unwrap();
        }
    };
    // The first verification reads the record again after the hash, which may have waited.
    assert_eq!(world.cost(verify), (200, 100));
    assert_eq!(world.cost(verify), (100, 0));
    for issued in &keys {
        world.revoke(&issued.key.id);
        assert_eq!(world.denied(&issued.token), Denied::Revoked(issued.key.id));
    }
}

#[test]
fn a_record_that_was_read_before_a_revocation_is_not_used_after_it() {
    let world = World::new();
    for _ in 0..100 {
        let issued = world.issue();
        let (other, id) = (world.clone(), issued.key.id);
        world.store.after_find(move || other.revoke(&id));
        // The read and the call began before the revocation, so either result is correct.
        let _ = world.verify(&issued.token);
        assert_eq!(world.denied(&issued.token), Denied::Revoked(id));
    }
}

#[test]
fn a_call_that_begins_after_a_revocation_is_rejected_however_busy_the_key_is() {
    let world = World::with(|config| config.with_scheme(Scheme::HmacSha256));
    for round in 0..300 {
        let issued = world.issue();
        let revoked = AtomicBool::new(false);
        let accepted = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    loop {
                        let before = revoked.load(Ordering::SeqCst);
                        match world.verify(&issued.token) {
                            Ok(_) => {
                                assert!(!before, "accepted after its revocation");
                                accepted.fetch_add(1, Ordering::SeqCst);
                            }
                            Err(VerifyError::Denied(Denied::Revoked(_))) => break,
                            Err(other) => panic!("{other:?}"),
                        }
                    }
                });
            }
            // Rename every second key first, so that it is read again during the revocation.
            while accepted.load(Ordering::SeqCst) < 20 {
                thread::yield_now();
            }
            if round % 2 == 1 {
                world.rename(&issued.key.id, "renamed");
            }
            world.revoke(&issued.key.id);
            revoked.store(true, Ordering::SeqCst);
        });
    }
}

#[test]
fn all_verifiers_over_one_store_apply_a_change() {
    let first = World::new();
    let issued = first.issue();
    let [second, third] = [(); 2].map(|()| first.reopened(|config| config));
    for world in [&first, &second, &third] {
        world.verify(&issued.token).unwrap();
        assert_eq!(world.cost(|| drop(world.verify(&issued.token))), (0, 0));
    }
    second.revoke(&issued.key.id);
    for world in [&first, &second, &third] {
        assert_eq!(world.denied(&issued.token), Denied::Revoked(issued.key.id));
    }
}

#[test]
fn a_record_is_cached_again_after_a_change_of_unknown_records() {
    let world = World::new();
    let issued = world.issue();
    for round in 0..3 {
        world.verify(&issued.token).unwrap();
        let again = || drop(world.verify(&issued.token).unwrap());
        assert_eq!(world.cost(again), (0, 0), "{round}");
        world.store.lease().changed_all();
        assert_eq!(world.cost(again), (1, 0), "{round}");
    }
}
