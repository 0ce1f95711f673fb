//! A server that is stopped and resumed: its connections stay open, and no store is notified.

use std::thread;

use futures_executor::block_on;
use keywright_core::{
    Environment, KeyId, ListKeys, Reach, Timestamp,
    store::{KeyStore, Reservation, StoreError, StoreErrorKind},
};

use crate::{
    find, insert, revoke, sample,
    support::{
        Copy, LEASE, Server, assert_rejected_in_time, now, returns, until_available, wait_until,
    },
};

/// Makes a call that must end although the server does not reply.
#[track_caller]
fn assert_unavailable<T>(what: &str, call: impl Future<Output = Result<T, StoreError>>) {
    let failed = returns(call).err().map(|error| error.kind());
    assert_eq!(failed, Some(StoreErrorKind::Unavailable), "{what}");
}

#[test]
fn every_call_ends_while_the_server_is_stopped_and_the_store_recovers() {
    let server = Server::start();
    let patient = server.store();
    let [here, there] = [(); 2].map(|()| server.store_with_default_deadline());
    let kept = insert(&patient, sample::record());
    let lost = insert(&patient, sample::record());
    let created = sample::record();
    let mut copies = [&kept, &lost].map(|record| Copy::usable(&there, record.key.id));
    let workspace = sample::workspace();
    let reservation = Reservation::new([1; 32], [2; 32], created.key.id, Timestamp::MAX);
    let list = ListKeys::new().with_limit(10);
    server.pause();
    thread::scope(|scope| {
        scope.spawn(|| assert_unavailable("find", there.find(&kept.key.id)));
        scope.spawn(|| {
            assert_unavailable(
                "list",
                there.list(&workspace, Environment::Live, &list, sample::now()),
            )
        });
        scope.spawn(|| assert_unavailable("insert", here.insert(&created, sample::now(), None)));
        scope.spawn(|| assert_unavailable("reserve", here.reserve(&reservation, sample::now())));
        scope.spawn(|| {
            let uses = [(kept.key.id, sample::now())];
            assert_unavailable("touch", here.touch(&uses));
        });
        scope.spawn(|| {
            let reach = Reach::Descendants;
            let revoked = here.revoke(&workspace, &lost.key.id, reach, sample::now(), None);
            assert_unavailable("revoke", revoked);
        });
    });
    // The deadline of the calls is longer than a lease.
    assert!(copies.iter().all(|copy| !copy.is_usable()));
    server.resume();

    assert!(find(&there, &kept.key.id).is_some());
    assert!(copies[0].accepts_when_available());
    revoke(&here, &lost);
    assert!(!copies[1].accepts_when_available());
    // The insert may have been made, and must not prevent a repeat.
    let repeated = until_available(|| here.insert(&created, sample::now(), None));
    assert!(
        matches!(repeated, Ok(()) | Err(StoreErrorKind::AlreadyExists)),
        "{repeated:?}"
    );
    assert_eq!(find(&there, &created.key.id), Some(created));
    let copy = Copy::usable(&there, kept.key.id);
    revoke(&here, &kept);
    wait_until("the copy is stale", || !copy.is_usable());
}

#[test]
fn a_key_revoked_just_before_the_server_was_stopped_is_trusted_for_one_lease_at_most() {
    let server = Server::start();
    let [here, there] = [(); 2].map(|()| server.store());
    for _ in 0..3 {
        let record = insert(&here, sample::record());
        let mut copy = Copy::usable(&there, record.key.id);
        revoke(&here, &record);
        let acknowledged = now();
        server.pause();
        assert_rejected_in_time(acknowledged, || copy.accepts_alone());
        thread::sleep(LEASE);
        server.resume();
        assert!(!copy.accepts_when_available());
    }
}

#[test]
fn a_revocation_that_waited_in_a_stopped_server_takes_effect_once_it_is_resumed() {
    let server = Server::start();
    let [here, there] = [(); 2].map(|()| server.store());
    let record = insert(&here, sample::record());
    // Shorter than a lease, so that a store may use its copies all the time.
    for _ in 0..5 {
        let mut copy = Copy::usable(&there, record.key.id);
        server.pause();
        thread::sleep(LEASE / 2);
        server.resume();
        assert!(copy.accepts_when_available());
    }
    let mut copy = Copy::usable(&there, record.key.id);
    server.pause();
    thread::scope(|scope| {
        let revoking = scope.spawn(|| {
            let revoked = crate::try_revoke(&here, &record);
            block_on(revoked).unwrap();
            now()
        });
        thread::sleep(LEASE / 2);
        server.resume();
        let acknowledged = revoking.join().unwrap();
        assert_rejected_in_time(acknowledged, || copy.accepts_when_available());
    });
}

/// A flush with a deadline must be able to stop at the first batch that fails.
#[test]
fn a_touch_of_many_keys_ends_with_the_deadline_of_one_call() {
    // If each part of the batch had a separate deadline, this would take more than a minute.
    const USES: u32 = 40 * 256;
    let server = Server::start();
    let store = server.store_with_default_deadline();
    let uses: Vec<(KeyId, Timestamp)> = (0..USES)
        .map(|number| (sample::id(number), sample::now()))
        .collect();
    server.pause();
    assert_unavailable("touch", store.touch(&uses));
    server.resume();
    until_available(|| store.touch(&uses[..256])).unwrap();
}
