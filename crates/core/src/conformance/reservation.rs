//! Clause 11: an idempotency key is bound to one id until the binding expires.

use super::{
    fixture::{at, now, record, unused_id},
    handle::{Handle, race},
    harness::Harness,
};
use crate::{
    Timestamp,
    store::{Reservation, Reserved, StoreErrorKind},
};

/// Tests clause 11, reservation. Also tests that servers which start at once on an empty store
/// create one first key.
pub fn reservation(harness: &impl Harness) {
    let handles = Handle::open_three(harness);
    let [store, other, _] = &handles;
    one_server_creates_the_first_key(&handles);
    earlier_binding_is_returned(store, other);
    binding_expires(store, other);
    keys_are_independent(store);
    one_concurrent_reservation_is_new(&handles);

    let lasting = binding("lasting", 1, at(60_000));
    assert_eq!(
        store.reserve(&lasting, now()),
        Reserved::New,
        "the first reservation is not new"
    );
    let [store, others @ ..] = handles;
    drop(others);
    let store = store.reopened();
    let result = store.reserve(&binding("lasting", 2, at(90_000)), at(1));
    assert_eq!(
        result,
        earlier_binding(&lasting),
        "a handle that was opened later does not return an earlier binding"
    );
    assert!(
        !store.is_empty(),
        "a handle that was opened later reports a store with a key as empty"
    );
}

fn binding(purpose: &str, fingerprint: u8, until: Timestamp) -> Reservation {
    let mut key = [0; 32];
    for (place, byte) in key.iter_mut().zip(purpose.bytes()) {
        *place = byte;
    }
    Reservation::new(key, [fingerprint; 32], unused_id(), until)
}

/// Returns what the store must return while this reservation is bound.
fn earlier_binding(
    Reservation {
        id, fingerprint, ..
    }: &Reservation,
) -> Reserved {
    Reserved::Earlier {
        id: *id,
        fingerprint: *fingerprint,
    }
}

/// Races servers that start at the same time on an empty store.
fn one_server_creates_the_first_key<H: Harness>(handles: &[Handle<'_, H>]) {
    let [store, ..] = handles else { unreachable!() };
    assert!(store.is_empty(), "the suite needs an empty store");
    for round in 0..10 {
        let created = race(handles, 6, |_, store| {
            let mut first = record("first");
            let attempt = Reservation::new([round + 1; 32], [8; 32], first.key.id, at(60_000));
            if let Reserved::Earlier { id, .. } = store.reserve(&attempt, now()) {
                first.key.id = id;
            }
            match store.insert(&first, now()) {
                Ok(()) => Some(first),
                Err(error) if error.kind() == StoreErrorKind::AlreadyExists => None,
                Err(error) => panic!("the store failed to insert the first key: {error:?}"),
            }
        });
        let created: Vec<_> = created.into_iter().flatten().collect();
        let [first] = &*created else {
            panic!(
                "round {round}: {} of the servers that started at once created the key, not 1",
                created.len()
            );
        };
        assert_eq!(
            store.read(&first.key.id),
            *first,
            "stored a first key other than the one that it acknowledged"
        );
        assert!(!store.is_empty(), "reported a store with a key as empty");
        store.revoke_key(first);
        assert!(
            !store.is_empty(),
            "reported a store with a revoked key as empty"
        );
    }
}

fn earlier_binding_is_returned<H: Harness>(store: &Handle<'_, H>, other: &Handle<'_, H>) {
    let first = binding("repeated", 1, at(60_000));
    assert_eq!(
        store.reserve(&first, now()),
        Reserved::New,
        "the first reservation is not new"
    );
    assert_eq!(
        store.find(&first.id),
        None,
        "a reservation created a record"
    );
    for fingerprint in [1, 2, 3] {
        let again = binding("repeated", fingerprint, at(90_000));
        let result = other.reserve(&again, at(1));
        assert_eq!(
            result,
            earlier_binding(&first),
            "did not return the id and the fingerprint of the earlier binding"
        );
        assert_eq!(
            store.find(&again.id),
            None,
            "a reservation created a record"
        );
    }
    assert_eq!(
        other.reserve(&first, at(1)),
        earlier_binding(&first),
        "did not return the earlier binding to the same request"
    );
}

fn binding_expires<H: Harness>(store: &Handle<'_, H>, other: &Handle<'_, H>) {
    let first = binding("ends", 1, at(1_000));
    let second = binding("ends", 2, at(9_000));
    assert_eq!(
        store.reserve(&first, now()),
        Reserved::New,
        "the first reservation is not new"
    );
    let result = other.reserve(&second, at(999));
    assert_eq!(
        result,
        earlier_binding(&first),
        "dropped a binding in its last millisecond"
    );
    // The requests in the meantime have not extended the binding.
    assert_eq!(
        other.reserve(&second, at(1_000)),
        Reserved::New,
        "kept a binding at the time at which it expires"
    );
    let third = binding("ends", 3, at(10_000));
    assert_eq!(
        store.reserve(&third, at(1_001)),
        earlier_binding(&second),
        "did not return the second binding"
    );
    assert_eq!(
        store.reserve(&third, at(9_500)),
        Reserved::New,
        "kept a binding after it had expired"
    );
    // A caller that only checks for an earlier binding reserves until now.
    let mut check = binding("checked", 1, at(5));
    assert_eq!(
        store.reserve(&check, at(5)),
        Reserved::New,
        "returned a binding for an idempotency key that is not bound"
    );
    check.fingerprint = [2; 32];
    let result = other.reserve(&check, at(5));
    assert_eq!(
        result,
        Reserved::New,
        "kept a binding that had expired when it was made"
    );
}

fn keys_are_independent<H: Harness>(store: &Handle<'_, H>) {
    let [mut zero, mut one, mut high] =
        [0, 1, 2].map(|fingerprint| binding("", fingerprint, at(60_000)));
    zero.key = [0; 32];
    one.key[31] = 1;
    high.key = [0xff; 32];
    for reservation in [&zero, &one, &high] {
        assert_eq!(
            store.reserve(reservation, now()),
            Reserved::New,
            "confused two idempotency keys"
        );
    }
    for reservation in [&zero, &one, &high] {
        assert_eq!(
            store.reserve(reservation, now()),
            earlier_binding(reservation),
            "returned the binding of another idempotency key"
        );
    }
}

fn one_concurrent_reservation_is_new<H: Harness>(handles: &[Handle<'_, H>]) {
    // In each round the binding of the previous round has just expired.
    for round in 0..10 {
        let results = race(handles, 6, |thread, store| {
            let attempt = binding(
                "wanted",
                [1, 2, 3, 4, 5, 6][thread],
                at(1_000 * (round + 1)),
            );
            let result = store.reserve(&attempt, at(1_000 * round));
            (attempt, result)
        });
        let (new, earlier): (Vec<_>, Vec<_>) = results
            .into_iter()
            .partition(|(_, result)| *result == Reserved::New);
        assert_eq!(
            new.len(),
            1,
            "round {round}: not exactly one of several concurrent reservations is new"
        );
        for (_, result) in earlier {
            assert_eq!(
                result,
                earlier_binding(&new[0].0),
                "round {round}: a concurrent reservation did not return the new binding"
            );
        }
    }
}
