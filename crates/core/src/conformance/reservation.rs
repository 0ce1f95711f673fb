//! Clause 11: an idempotency key is bound once.

use super::{
    Harness,
    fixture::{at, now, record, unused_id},
    handle::{Handle, race},
};
use crate::{Reservation, Reserved, StoreErrorKind, Timestamp};

/// Clause 11, reservation, and what it makes of an empty store.
pub fn reservation(harness: &impl Harness) {
    let handles = Handle::open_three(harness);
    let [store, other, _] = &handles;
    one_of_many_makes_the_first_key(&handles);
    first_binding_is_told(store, other);
    binding_ends(store, other);
    keys_are_independent(store);
    one_of_many_binds(&handles);

    let lasting = binding("lasting", 1, at(60_000));
    assert_eq!(
        store.reserve(&lasting, now()),
        Reserved::New,
        "a first reservation"
    );
    let [store, others @ ..] = handles;
    drop(others);
    let store = store.reopened();
    let answer = store.reserve(&binding("lasting", 2, at(90_000)), at(1));
    assert_eq!(
        answer,
        told(&lasting),
        "a reservation is bound for handles that are opened later"
    );
    assert!(
        !store.is_empty(),
        "a store with a key is not empty, whoever opens it"
    );
}

fn binding(purpose: &str, fingerprint: u8, until: Timestamp) -> Reservation {
    let mut key = [0; 32];
    for (place, byte) in key.iter_mut().zip(purpose.bytes()) {
        *place = byte;
    }
    Reservation::new(key, [fingerprint; 32], unused_id(), until)
}

/// What a store answers while this one is bound.
fn told(
    Reservation {
        id, fingerprint, ..
    }: &Reservation,
) -> Reserved {
    Reserved::Earlier {
        id: *id,
        fingerprint: *fingerprint,
    }
}

/// What servers do that start at once on one empty store.
fn one_of_many_makes_the_first_key<H: Harness>(handles: &[Handle<'_, H>]) {
    let [store, ..] = handles else { unreachable!() };
    assert!(store.is_empty(), "the suite needs an empty store");
    for round in 0..10 {
        let made = race(handles, 6, |_, store| {
            let mut first = record("first");
            let own = Reservation::new([round + 1; 32], [8; 32], first.key.id, at(60_000));
            if let Reserved::Earlier { id, .. } = store.reserve(&own, now()) {
                first.key.id = id;
            }
            match store.insert(&first, now()) {
                Ok(()) => Some(first),
                Err(error) if error.kind() == StoreErrorKind::AlreadyExists => None,
                Err(error) => panic!("a first key is made or is there, but: {error:?}"),
            }
        });
        let made: Vec<_> = made.into_iter().flatten().collect();
        let [first] = &*made else {
            panic!(
                "of servers that start at once one makes the key, not {}",
                made.len()
            );
        };
        assert_eq!(store.read(&first.key.id), *first, "the first key is stored");
        assert!(!store.is_empty(), "a store with a key is not empty");
        store.withdraw(first);
        assert!(!store.is_empty(), "a store with a revoked key is not empty");
    }
}

fn first_binding_is_told<H: Harness>(store: &Handle<'_, H>, other: &Handle<'_, H>) {
    let first = binding("told", 1, at(60_000));
    assert_eq!(
        store.reserve(&first, now()),
        Reserved::New,
        "a first reservation"
    );
    assert_eq!(
        store.find(&first.id),
        None,
        "a reservation has made a record"
    );
    for fingerprint in [1, 2, 3] {
        let again = binding("told", fingerprint, at(90_000));
        let answer = other.reserve(&again, at(1));
        assert_eq!(
            answer,
            told(&first),
            "the first id and its fingerprint are told"
        );
        assert_eq!(
            store.find(&again.id),
            None,
            "a reservation has made a record"
        );
    }
    assert_eq!(
        other.reserve(&first, at(1)),
        told(&first),
        "also to the same request"
    );
}

fn binding_ends<H: Harness>(store: &Handle<'_, H>, other: &Handle<'_, H>) {
    let first = binding("ends", 1, at(1_000));
    let second = binding("ends", 2, at(9_000));
    assert_eq!(
        store.reserve(&first, now()),
        Reserved::New,
        "a first reservation"
    );
    let answer = other.reserve(&second, at(999));
    assert_eq!(
        answer,
        told(&first),
        "a reservation is bound in its last millisecond"
    );
    // Nor was it made longer by those who asked in the meantime.
    assert_eq!(
        other.reserve(&second, at(1_000)),
        Reserved::New,
        "it has run out at its end"
    );
    let third = binding("ends", 3, at(10_000));
    assert_eq!(
        store.reserve(&third, at(1_001)),
        told(&second),
        "the second one is bound now"
    );
    assert_eq!(
        store.reserve(&third, at(9_500)),
        Reserved::New,
        "it has run out after its end"
    );
    // Who only asks whether there is an earlier one binds for no time.
    let mut asking = binding("asked", 1, at(5));
    assert_eq!(
        store.reserve(&asking, at(5)),
        Reserved::New,
        "nothing is bound"
    );
    asking.fingerprint = [2; 32];
    let answer = other.reserve(&asking, at(5));
    assert_eq!(answer, Reserved::New, "it had run out when it was made");
}

fn keys_are_independent<H: Harness>(store: &Handle<'_, H>) {
    let [mut zero, mut one, mut high] = [0, 1, 2].map(|print| binding("", print, at(60_000)));
    zero.key = [0; 32];
    one.key[31] = 1;
    high.key = [0xff; 32];
    for reservation in [&zero, &one, &high] {
        assert_eq!(
            store.reserve(reservation, now()),
            Reserved::New,
            "each has a key of its own"
        );
    }
    for reservation in [&zero, &one, &high] {
        assert_eq!(
            store.reserve(reservation, now()),
            told(reservation),
            "each has its own id"
        );
    }
}

fn one_of_many_binds<H: Harness>(handles: &[Handle<'_, H>]) {
    // In each round that of the round before has just run out.
    for round in 0..10 {
        let answers = race(handles, 6, |thread, store| {
            let own = binding(
                "wanted",
                [1, 2, 3, 4, 5, 6][thread],
                at(1_000 * (round + 1)),
            );
            let answer = store.reserve(&own, at(1_000 * round));
            (own, answer)
        });
        let (new, earlier): (Vec<_>, Vec<_>) = answers
            .into_iter()
            .partition(|(_, answer)| *answer == Reserved::New);
        assert_eq!(
            new.len(),
            1,
            "round {round}: of concurrent reservations one is new"
        );
        for (_, answer) in earlier {
            assert_eq!(
                answer,
                told(&new[0].0),
                "round {round}: all others are told of that one"
            );
        }
    }
}
