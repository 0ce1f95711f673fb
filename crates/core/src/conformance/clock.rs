//! Clause 12: times are passed in, and a future may be dropped at any moment. That a store sees no
//! token is a matter of types: a record has no place for one.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use super::{
    Harness,
    fixture::{
        assert_refused, at, child_of, expiring, now, record, record_in, successor_of, unused_id,
        workspace,
    },
    handle::Handle,
};
use crate::{
    Environment, ListKeys, Reach, Reservation, Reserved, Retire, Rotation, Status, StoreErrorKind,
    Timestamp,
};

const SECOND: Duration = Duration::from_secs(1);

/// Clause 12, clock, cancellation and secrets.
pub fn clock_cancellation_secrets(harness: &impl Harness) {
    let store = Handle::open(harness);
    // 1970, 2001, 2100 and 8000: no wall clock is near any of them.
    for millis in [
        10_000,
        1_000_000_000_000,
        4_102_444_800_000,
        190_288_396_800_000,
    ] {
        let [now, later] =
            [millis, millis + 1_000].map(|millis| Timestamp::from_millis(millis).unwrap());
        stamps_are_the_given_time(&store, now);
        ends_are_met_at_the_given_time(&store, now, later);
        reservations_end_at_the_given_time(&store, now, later);
    }
    for polls in [0, 1, 2, 3, 10, 100] {
        dropped_insert_is_whole(&store, polls);
        for retire in [Retire::Now, Retire::At(at(500))] {
            dropped_rotation_is_whole(&store, polls, retire);
        }
    }
}

fn stamps_are_the_given_time<H: Harness>(store: &Handle<'_, H>, now: Timestamp) {
    let revoked = store.add(record("revoked"));
    store
        .revoke(&revoked, Reach::Key, now)
        .expect("a key is revoked");
    let stamp = store.read(&revoked.key.id).key.revoked_at;
    assert_eq!(
        stamp,
        Some(now),
        "a revocation is stamped with the time that was passed in"
    );

    let replaced = store.add(record("replaced"));
    let successor = successor_of(&replaced);
    store
        .rotate(&replaced, Retire::Now, &successor, now)
        .expect("a key is rotated");
    let stamp = store.read(&replaced.key.id).key.revoked_at;
    assert_eq!(
        stamp,
        Some(now),
        "a rotation is stamped with the time that was passed in"
    );
    assert_eq!(
        store.read(&successor.key.id),
        successor,
        "a successor is stamped with nothing"
    );

    store.touch(&[(successor.key.id, now)]);
    let stamp = store.read(&successor.key.id).key.last_used_at;
    assert_eq!(
        stamp,
        Some(now),
        "a use is stamped with the time that was passed in"
    );
}

fn ends_are_met_at_the_given_time<H: Harness>(
    store: &Handle<'_, H>,
    now: Timestamp,
    end: Timestamp,
) {
    let tenant = format!("clock/{}", now.as_millis());
    let parent = store.add(expiring(record_in(&tenant, "ends"), end));
    let child = expiring(child_of(&parent), now);
    let answer = store.insert(&child, now);
    assert!(
        answer.is_ok(),
        "at {now} a parent is active until {end}, but: {answer:?}"
    );
    assert_eq!(
        store.read(&child.key.id),
        child,
        "a key may be inserted that is over already"
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
        assert_eq!(page.keys, expected, "the {status} keys at {time}");
    }

    let answer = store.rotate(&parent, Retire::At(end), &successor_of(&parent), end);
    assert_refused(
        answer,
        StoreErrorKind::Conflict,
        "a rotation of a key that is expired by then",
    );
    let answer = store.rotate(&parent, Retire::At(end), &successor_of(&parent), now);
    assert!(
        answer.is_ok(),
        "at {now} a key that ends at {end} can be rotated, but: {answer:?}"
    );
}

fn reservations_end_at_the_given_time<H: Harness>(
    store: &Handle<'_, H>,
    now: Timestamp,
    until: Timestamp,
) {
    let bind = |until| Reservation::new([12; 32], [0; 32], unused_id(), until);
    let answer = store.reserve(&bind(until), now);
    assert_eq!(answer, Reserved::New, "a first reservation, at {now}");
    let answer = store.reserve(&bind(until), now);
    assert_ne!(answer, Reserved::New, "at {now} it is bound until {until}");
    let later = until.saturating_add(SECOND);
    let answer = store.reserve(&bind(later.saturating_add(SECOND)), later);
    assert_eq!(answer, Reserved::New, "at {later} it has run out");
}

/// Polls a future so often, if it is not ready before, and drops it.
async fn drop_after<F: Future>(polls: usize, future: F) {
    let mut future = pin!(future);
    for _ in 0..polls {
        if poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await {
            return;
        }
    }
}

fn dropped_insert_is_whole<H: Harness>(store: &Handle<'_, H>, polls: usize) {
    let dropped = record("dropped");
    store.wait(drop_after(polls, store.store().insert(&dropped, now())));
    let found = store.find(&dropped.key.id);
    assert!(
        found.as_ref().is_none_or(|found| *found == dropped),
        "an insert that was dropped after {polls} polls is done or not done, not {found:?}",
    );
    // It may even be done by now: so either answer is right, and then it is there.
    match store.insert(&dropped, now()) {
        Ok(()) => {}
        refused => assert_refused(
            refused,
            StoreErrorKind::AlreadyExists,
            "an insert once more",
        ),
    }
    let found = store.read(&dropped.key.id).key;
    assert_eq!(found, dropped.key, "the store works after a dropped insert");
}

fn dropped_rotation_is_whole<H: Harness>(store: &Handle<'_, H>, polls: usize, retire: Retire) {
    let predecessor = store.add(record("predecessor"));
    let dropped = successor_of(&predecessor);
    let rotation = Rotation::new(predecessor.key.id, 1, retire, dropped.clone());
    let rotate = store
        .store()
        .rotate(&predecessor.key.workspace, &rotation, now());
    store.wait(drop_after(polls, rotate));

    // It may be going on: what is read later may be further on, but never less far.
    let successor_before = store.find(&dropped.key.id);
    let link = store.read(&predecessor.key.id).key.successor;
    let successor_after = store.find(&dropped.key.id);
    if successor_before.is_some() {
        assert!(
            link.is_some(),
            "a rotation dropped after {polls} polls has left a mere successor"
        );
    }
    if link.is_some() {
        assert!(
            successor_after.is_some(),
            "a rotation dropped after {polls} polls has a mere link"
        );
    }

    let second = successor_of(&predecessor);
    let done = store.rotate(&predecessor, retire, &second, now()).is_err();
    let [there, not_there] = if done {
        [dropped, second]
    } else {
        [second, dropped]
    };
    let retired = store.read(&predecessor.key.id);
    assert_eq!(
        retired.key.successor,
        Some(there.key.id),
        "the store works after a dropped rotation"
    );
    assert_eq!(
        retired.version, 2,
        "a dropped rotation has left a half change of the predecessor"
    );
    assert_eq!(
        store.read(&there.key.id),
        there,
        "the successor of a rotation is whole"
    );
    assert_eq!(
        store.find(&not_there.key.id),
        None,
        "a rotation that is not done left a successor"
    );
}
