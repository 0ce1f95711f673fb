//! Clause 12: callers pass the time to a store, and may drop a future at any moment. The types
//! ensure that a store sees no token: a record has no field for one.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use super::{
    fixture::{
        assert_rejected, at, child_of, expiring, now, record, record_in, successor_of, unused_id,
        workspace,
    },
    handle::Handle,
    harness::Harness,
};
use crate::{
    Environment, ListKeys, Reach, Status, Timestamp,
    store::{Reservation, Reserved, Retire, Rotation, StoreErrorKind},
};

const SECOND: Duration = Duration::from_secs(1);

/// Tests clause 12, clock, cancellation and secrets.
pub fn clock_cancellation_secrets(harness: &impl Harness) {
    let store = Handle::open(harness);
    // In 1970, 2001, 2100 and 8000, which are far from any wall clock.
    for millis in [
        10_000,
        1_000_000_000_000,
        4_102_444_800_000,
        190_288_396_800_000,
    ] {
        let [now, later] =
            [millis, millis + 1_000].map(|millis| Timestamp::from_millis(millis).unwrap());
        store_records_the_given_time(&store, now);
        keys_expire_by_the_given_time(&store, now, later);
        reservations_expire_by_the_given_time(&store, now, later);
    }
    for polls in [0, 1, 2, 3, 10, 100] {
        dropped_insert_happens_completely_or_not_at_all(&store, polls);
        for retire in [Retire::Now, Retire::At(at(500))] {
            dropped_rotation_happens_completely_or_not_at_all(&store, polls, retire);
        }
    }
}

fn store_records_the_given_time<H: Harness>(store: &Handle<'_, H>, now: Timestamp) {
    let revoked = store.add(record("revoked"));
    store
        .revoke(&revoked, Reach::Key, now)
        .expect("the store failed to revoke a key");
    let recorded = store.read(&revoked.key.id).key.revoked_at;
    assert_eq!(
        recorded,
        Some(now),
        "recorded a revocation at a time other than the given one"
    );

    let replaced = store.add(record("replaced"));
    let successor = successor_of(&replaced);
    store
        .rotate(&replaced, Retire::Now, &successor, now)
        .expect("the store failed to rotate a key");
    let recorded = store.read(&replaced.key.id).key.revoked_at;
    assert_eq!(
        recorded,
        Some(now),
        "recorded a rotation at a time other than the given one"
    );
    assert_eq!(
        store.read(&successor.key.id),
        successor,
        "changed the successor of a rotation"
    );

    store.touch(&[(successor.key.id, now)]);
    let recorded = store.read(&successor.key.id).key.last_used_at;
    assert_eq!(
        recorded,
        Some(now),
        "recorded a use at a time other than the given one"
    );
}

fn keys_expire_by_the_given_time<H: Harness>(
    store: &Handle<'_, H>,
    now: Timestamp,
    end: Timestamp,
) {
    let tenant = format!("clock/{}", now.as_millis());
    let parent = store.add(expiring(record_in(&tenant, "expires"), end));
    let child = expiring(child_of(&parent), now);
    let result = store.insert(&child, now);
    assert!(
        result.is_ok(),
        "at {now}, rejected a child of a parent that is active until {end}: {result:?}"
    );
    assert_eq!(
        store.read(&child.key.id),
        child,
        "changed a key that had expired when it was inserted"
    );

    for (time, status, expected) in [
        (now, Status::Active, vec![parent.key.clone()]),
        (now, Status::Expired, vec![child.key.clone()]),
        (end, Status::Active, vec![]),
        (
            end,
            Status::Expired,
            vec![child.key.clone(), parent.key.clone()],
        ),
    ] {
        let list = ListKeys::new().with_status(status);
        let page = store.list_as(&workspace(&tenant), Environment::Live, &list, time);
        assert_eq!(
            page.keys, expected,
            "listed the wrong keys as {status} at {time}"
        );
    }

    let result = store.rotate(&parent, Retire::At(end), &successor_of(&parent), end);
    assert_rejected(
        result,
        StoreErrorKind::Conflict,
        "a rotation at the time at which the key expires",
    );
    let result = store.rotate(&parent, Retire::At(end), &successor_of(&parent), now);
    assert!(
        result.is_ok(),
        "at {now}, rejected a rotation of a key that expires at {end}: {result:?}"
    );
}

fn reservations_expire_by_the_given_time<H: Harness>(
    store: &Handle<'_, H>,
    now: Timestamp,
    until: Timestamp,
) {
    let reservation = |until| Reservation::new([12; 32], [0; 32], unused_id(), until);
    let result = store.reserve(&reservation(until), now);
    assert_eq!(
        result,
        Reserved::New,
        "at {now}, the first reservation is not new"
    );
    let result = store.reserve(&reservation(until), now);
    assert_ne!(
        result,
        Reserved::New,
        "at {now}, dropped a binding that lasts until {until}"
    );
    let later = until.saturating_add(SECOND);
    let result = store.reserve(&reservation(later.saturating_add(SECOND)), later);
    assert_eq!(
        result,
        Reserved::New,
        "at {later}, kept a binding that had expired at {until}"
    );
}

/// Polls `future` at most `polls` times, and drops it.
pub(super) async fn drop_after<F: Future>(polls: usize, future: F) {
    let mut future = pin!(future);
    for _ in 0..polls {
        if poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await {
            return;
        }
    }
}

fn dropped_insert_happens_completely_or_not_at_all<H: Harness>(
    store: &Handle<'_, H>,
    polls: usize,
) {
    let dropped = record("dropped");
    store.wait(drop_after(
        polls,
        store.store().insert(&dropped, now(), None),
    ));
    let found = store.find(&dropped.key.id);
    assert!(
        found.as_ref().is_none_or(|found| *found == dropped),
        "an insert that was dropped after {polls} polls stored an incomplete record: {found:?}",
    );
    // The store may complete the dropped insert at any time, so both results are valid. Afterwards
    // the record exists.
    match store.insert(&dropped, now()) {
        Ok(()) => {}
        rejected => assert_rejected(rejected, StoreErrorKind::AlreadyExists, "a repeated insert"),
    }
    let found = store.read(&dropped.key.id).key;
    assert_eq!(
        found, dropped.key,
        "returned a key other than the inserted one after a dropped insert"
    );
}

fn dropped_rotation_happens_completely_or_not_at_all<H: Harness>(
    store: &Handle<'_, H>,
    polls: usize,
    retire: Retire,
) {
    let predecessor = store.add(record("predecessor"));
    let dropped = successor_of(&predecessor);
    let rotation = Rotation::new(predecessor.key.id, 1, retire, dropped.clone());
    let rotate = store
        .store()
        .rotate(&predecessor.key.workspace, &rotation, now(), None);
    store.wait(drop_after(polls, rotate));

    // The store may still be completing the rotation, so a later read may show more of it, but must
    // not show less.
    let successor_before = store.find(&dropped.key.id);
    let link = store.read(&predecessor.key.id).key.successor;
    let successor_after = store.find(&dropped.key.id);
    if successor_before.is_some() {
        assert!(
            link.is_some(),
            "a rotation that was dropped after {polls} polls left a successor without a link"
        );
    }
    if link.is_some() {
        assert!(
            successor_after.is_some(),
            "a rotation that was dropped after {polls} polls left a link without a successor"
        );
    }

    let second = successor_of(&predecessor);
    let completed = store.rotate(&predecessor, retire, &second, now()).is_err();
    let [stored, discarded] = if completed {
        [dropped, second]
    } else {
        [second, dropped]
    };
    let retired = store.read(&predecessor.key.id);
    assert_eq!(
        retired.key.successor,
        Some(stored.key.id),
        "linked the wrong successor after a dropped rotation"
    );
    assert_eq!(
        retired.version, 2,
        "did not change the predecessor exactly once after a dropped rotation"
    );
    assert_eq!(
        store.read(&stored.key.id),
        stored,
        "stored an incomplete successor"
    );
    assert_eq!(
        store.find(&discarded.key.id),
        None,
        "stored the successor of a rotation that did not happen"
    );
}
