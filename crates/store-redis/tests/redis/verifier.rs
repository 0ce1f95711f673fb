//! The library's verifier over this store: what it accepts from its cache, and for how long.

use std::{
    future::ready,
    net::{IpAddr, Ipv4Addr},
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use futures_executor::block_on;
use keywright_core::{
    Denied, Issued, KeyId, KeyUpdate, Keywright, Timestamp, Verified, VerifyError,
    store::{KeyStore, Record},
};
use keywright_store_redis::RedisConfig;

use crate::{
    insert, sample,
    support::{
        BOUND, Copy, LEASE, Proxy, Server, Verification, create, decide, first_rejection, library,
        now, operator, reads, report, retry, revoke, verify, wait_for, wait_until, warm_up,
    },
};

#[test]
fn a_key_that_two_libraries_cache_is_rejected_by_both_once_one_revokes_it() {
    let server = Server::start();
    let [here, there] = [(); 2].map(|()| library(server.config()));
    let mut times = Vec::new();
    for _ in 0..50 {
        let issued = create(&here);
        for keys in [&here, &there] {
            warm_up(keys, &issued, &server);
        }
        revoke(&here, &issued);
        let acknowledged = now();
        assert_eq!(decide(&here, &issued), Verification::Revoked, "at once");
        let (began, _) = first_rejection(&there, &issued, acknowledged, BOUND);
        assert_eq!(decide(&there, &issued), Verification::Revoked);
        times.push(began);
    }
    report("revoked in one library, first rejected by another", times);
}

/// Whether a verification applies an update.
type Applies = fn(&Result<Verified, VerifyError>) -> bool;

/// An address from which the updated keys may not be used.
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));

/// Returns updates that restrict a key.
fn restrictions() -> [(&'static str, KeyUpdate, Applies); 4] {
    let update = KeyUpdate::new;
    [
        ("pause", update().with_enabled(false), |result| {
            matches!(result, Err(VerifyError::Denied(Denied::Disabled(_))))
        }),
        (
            "permissions",
            update().with_permissions("calls:read".parse().unwrap()),
            |result| {
                let write = "calls:write".parse().unwrap();
                result.as_ref().is_ok_and(|it| !it.caller().may(&write))
            },
        ),
        (
            "expiry",
            update().with_expires_at(Timestamp::MAX),
            |result| {
                let end = Some(Timestamp::MAX);
                result.as_ref().is_ok_and(|it| it.key().expires_at == end)
            },
        ),
        (
            "addresses",
            update().with_allowed_ips("192.0.2.0/24".parse().unwrap()),
            |result| {
                matches!(
                    result,
                    Err(VerifyError::Denied(Denied::AddressNotAllowed(_)))
                )
            },
        ),
    ]
}

/// Verifies until an update is applied that was acknowledged at `since`. Returns how long after
/// that the verification began.
///
/// No verification that does not apply it may begin after the bound. Each begins after its time is
/// measured, so that a slow machine cannot fail this.
#[track_caller]
fn first_applied(
    keys: &Keywright,
    issued: &Issued,
    since: Instant,
    bound: Duration,
    applies: Applies,
) -> Duration {
    wait_for("the update is applied", || {
        let began = now() - since;
        let token = issued.token.expose().as_bytes();
        let result = block_on(keys.verifier().verify_from(token, ADDRESS));
        if applies(&result) {
            return Some(began);
        }
        let undecided = matches!(result, Err(VerifyError::Undecided(_)));
        assert!(undecided || began <= bound, "{began:?}: {result:?}");
        None
    })
}

#[test]
fn an_update_in_one_library_is_applied_by_another_that_has_cached_the_key() {
    let server = Server::start();
    let [here, there] = [(); 2].map(|()| library(server.config()));
    let update = |issued: &Issued, update: &KeyUpdate| {
        let (operator, id) = (operator(), &issued.key.id);
        retry(|| block_on(here.issuer().update(&operator, id, update))).unwrap();
        now()
    };
    for (name, restriction, applies) in restrictions() {
        let mut times = Vec::new();
        for _ in 0..20 {
            let issued = create(&here);
            for keys in [&here, &there] {
                warm_up(keys, &issued, &server);
            }
            let acknowledged = update(&issued, &restriction);
            // The library that makes the update applies it at once.
            first_applied(&here, &issued, acknowledged, Duration::ZERO, applies);
            times.push(first_applied(&there, &issued, acknowledged, BOUND, applies));
            if restriction.enabled == Some(false) {
                let resumed = update(&issued, &KeyUpdate::new().with_enabled(true));
                first_applied(&there, &issued, resumed, BOUND, Result::is_ok);
            }
        }
        report(&format!("{name}, first applied by another library"), times);
    }
}

#[test]
fn a_library_behind_a_silent_network_stops_accepting_after_one_lease() {
    let server = Server::start();
    let here = library(server.config());
    let proxy = Proxy::before(server.port());
    let there = library(RedisConfig::new(proxy.url()));
    let mut times = Vec::new();
    for round in 0..8 {
        let issued = create(&here);
        warm_up(&there, &issued, &server);
        // A different moment between two heartbeats each time.
        thread::sleep(Duration::from_millis(round * 97 % 340));
        proxy.set_silent(true);
        revoke(&here, &issued);
        let (began, verification) = first_rejection(&there, &issued, now(), BOUND);
        assert_eq!(verification, Verification::Undecided);
        times.push(began);
        proxy.set_silent(false);
        assert_eq!(decide(&there, &issued), Verification::Revoked);
    }
    report("revoked behind a silent network, first not accepted", times);
}

#[test]
fn cached_keys_outlive_a_killed_server_by_one_lease_and_then_nothing_is_decided() {
    let mut server = Server::start();
    let keys = library(RedisConfig::new(server.url()));
    let issued = create(&keys);
    let mut times = Vec::new();
    for _ in 0..3 {
        warm_up(&keys, &issued, &server);
        server.kill();
        let (began, verification) = first_rejection(&keys, &issued, now(), LEASE);
        times.push(began);
        assert_eq!(verification, Verification::Undecided);
        // An attempt to reconnect never ends in a denial.
        assert_eq!(verify(&keys, &issued), Verification::Undecided);
        server.restart();
        assert_eq!(decide(&keys, &issued), Verification::Accepted);
    }
    report("first not accepted after the server was killed", times);
}

#[test]
fn thousands_of_creations_and_touches_of_other_keys_cause_no_read_of_a_cached_key() {
    let server = Server::start();
    let store = server.store();
    let here = library(server.config());
    let there = library(server.config());
    let issued = create(&here);
    // A lease groups ids by their last two characters, so the other ids end with every pair.
    let digits = ('0'..='9').chain('A'..='Z').chain('a'..='z');
    for first in digits.clone() {
        let touched = [(issued.key.id, there.issuer().now())];
        // A lease that lapses on a busy machine also causes a read, so the round is repeated. If
        // one of the other keys causes the read, every repeat fails, because its ids end alike.
        wait_until("other keys change and no cached key is read", || {
            warm_up(&there, &issued, &server);
            let before = reads(&server);
            let mut uses = touched.to_vec();
            for last in digits.clone() {
                let other = insert(&store, with_end(sample::record(), first, last));
                uses.push((other.key.id, sample::now()));
                assert_eq!(decide(&there, &issued), Verification::Accepted);
            }
            block_on(store.touch(&uses)).unwrap();
            assert_eq!(decide(&there, &issued), Verification::Accepted);
            reads(&server) == before
        });
    }
    let before = reads(&server);
    revoke(&here, &issued);
    wait_until("the key is rejected", || {
        decide(&there, &issued) == Verification::Revoked
    });
    assert!(reads(&server) > before, "reads are not counted");
}

/// Returns the record with an id that ends with these characters.
fn with_end(mut record: Record, first: char, last: char) -> Record {
    let own = *record.key.id.as_bytes();
    let end = format!("{first}{last}");
    record.key.id = KeyId::from_bytes(&[&own[..14], end.as_bytes()].concat()).unwrap();
    record
}

#[test]
fn concurrent_reads_share_commands() {
    let server = Server::start();
    let store = server.store();
    let records: Vec<Record> = (0..100).map(|_| insert(&store, sample::record())).collect();
    Copy::usable(&store, records[0].key.id);
    // While a late heartbeat leaves the server untracked, each of them takes two commands.
    wait_until("the server counts fewer commands than reads", || {
        let before = reads(&server);
        let mut context = Context::from_waker(Waker::noop());
        let pending: Vec<_> = records
            .iter()
            .map(|record| {
                let mut find = store.find(&record.key.id);
                match find.as_mut().poll(&mut context) {
                    Poll::Ready(found) => Box::pin(ready(found)),
                    Poll::Pending => find,
                }
            })
            .collect();
        for (find, record) in pending.into_iter().zip(&records) {
            assert_eq!(block_on(find).unwrap().as_ref(), Some(record));
        }
        reads(&server) - before < 100
    });
}
