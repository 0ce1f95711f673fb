//! A server that is stopped and continued: its connections stay, and nobody is told.

use std::thread;

use futures_executor::block_on;
use keywright_core::{
    Environment, KeyStore, ListKeys, Reach, Reservation, StoreError, StoreErrorKind, Timestamp,
};

use crate::{
    insert, revoke, sample,
    support::{Copy, DEADLINE, LEASE, SLACK, Server, assert_refused_in_time, comes_to, now},
};

/// Makes a call that must fail, and in time.
#[track_caller]
fn assert_unavailable<T>(what: &str, call: impl Future<Output = Result<T, StoreError>>) {
    let began = now();
    let failed = block_on(call).err().map(|error| error.kind());
    let taken = now() - began;
    assert_eq!(failed, Some(StoreErrorKind::Unavailable), "{what}");
    assert!(taken < DEADLINE + SLACK, "{what} takes {taken:?}");
}

#[test]
fn no_call_outlasts_its_deadline_while_the_server_is_stopped_and_then_all_goes_on() {
    let server = Server::start();
    let [here, there] = [(); 2].map(|()| server.store());
    let kept = insert(&here, sample::record());
    let lost = insert(&here, sample::record());
    let created = sample::record();
    let mut copies = [&kept, &lost].map(|record| Copy::usable(&there, record.key.id));
    let workspace = sample::workspace();
    let reservation = Reservation::new([1; 32], [2; 32], created.key.id, Timestamp::MAX);
    let list = ListKeys::new().with_limit(10);
    server.stop();
    let stopped = now();
    thread::scope(|scope| {
        scope.spawn(|| assert_unavailable("find", there.find(&kept.key.id)));
        scope.spawn(|| {
            assert_unavailable(
                "list",
                there.list(&workspace, Environment::Live, &list, sample::now()),
            )
        });
        scope.spawn(|| assert_unavailable("insert", here.insert(&created, sample::now())));
        scope.spawn(|| assert_unavailable("reserve", here.reserve(&reservation, sample::now())));
        scope.spawn(|| {
            let uses = [(kept.key.id, sample::now())];
            assert_unavailable("touch", here.touch(&uses));
        });
        scope.spawn(|| {
            let reach = Reach::Descendants;
            let revoked = here.revoke(&workspace, &lost.key.id, reach, sample::now());
            assert_unavailable("revoke", revoked);
        });
    });
    // The calls took longer than a lease.
    assert!(now() - stopped > LEASE);
    assert!(copies.iter().all(|copy| !copy.is_usable()));
    server.go_on();

    assert!(comes_to(|| block_on(there.find(&kept.key.id)).is_ok()));
    assert!(comes_to(|| copies[0]
        .accepts()
        .is_ok_and(|accepted| accepted)));
    revoke(&here, &lost);
    assert!(!copies[1].accepts().unwrap());
    // The insert may have been done, and nothing of it may be in the way of a repeat.
    let repeated = block_on(here.insert(&created, sample::now())).map_err(|error| error.kind());
    assert!(
        matches!(repeated, Ok(()) | Err(StoreErrorKind::AlreadyExists)),
        "{repeated:?}"
    );
    assert_eq!(
        block_on(there.find(&created.key.id)).unwrap(),
        Some(created)
    );
    let copy = Copy::usable(&there, kept.key.id);
    revoke(&here, &kept);
    assert!(comes_to(|| !copy.is_usable()));
}

#[test]
fn a_key_that_was_revoked_just_before_the_server_was_stopped_is_trusted_for_one_lease_at_most() {
    let server = Server::start();
    let [here, there] = [(); 2].map(|()| server.store());
    for _ in 0..3 {
        let record = insert(&here, sample::record());
        let mut copy = Copy::usable(&there, record.key.id);
        revoke(&here, &record);
        let acknowledged = now();
        server.stop();
        assert_refused_in_time(acknowledged, || copy.accepts_alone());
        thread::sleep(LEASE);
        server.go_on();
        assert!(comes_to(|| copy.accepts().is_ok()));
        assert!(!copy.accepts().unwrap());
    }
}

#[test]
fn a_revocation_that_waited_in_a_stopped_server_is_heard_of_once_that_goes_on() {
    let server = Server::start();
    let [here, there] = [(); 2].map(|()| server.store());
    let record = insert(&here, sample::record());
    // Shorter than a lease: the copies may be used all the time.
    for _ in 0..5 {
        let mut copy = Copy::usable(&there, record.key.id);
        server.stop();
        thread::sleep(LEASE / 2);
        server.go_on();
        assert!(copy.accepts().unwrap());
    }
    let mut copy = Copy::usable(&there, record.key.id);
    server.stop();
    thread::scope(|scope| {
        let revoking = scope.spawn(|| {
            revoke(&here, &record);
            now()
        });
        thread::sleep(LEASE / 2);
        server.go_on();
        let acknowledged = revoking.join().unwrap();
        assert_refused_in_time(acknowledged, || copy.accepts().unwrap());
    });
}
