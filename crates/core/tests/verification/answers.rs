//! What an issuer makes of what a store answers.

use keywright_core::{
    Caller, Denied, Environment, Expiry, IdempotencyKey, Introspection, IssueError, IssueOutcome,
    Issued, ListKeys, ListStart, Metadata, NewKey, StoreErrorKind, Timestamp, Workspace,
};
use pollster::block_on;

use crate::world::{World, kind, name, operator};

const TAKEN: StoreErrorKind = StoreErrorKind::AlreadyExists;

fn create(world: &World, caller: &Caller) -> Result<Issued, IssueError> {
    block_on(world.keys.issuer().create(caller, NewKey::new(name("n"))))
}

#[test]
fn an_id_that_is_taken_is_drawn_anew_and_nothing_else_is_tried_again() {
    let world = World::new();
    world.store.answer_with(&[TAKEN, TAKEN]);
    create(&world, &operator()).unwrap();
    world.store.answer_with(&[TAKEN, TAKEN, TAKEN]);
    assert_eq!(kind(create(&world, &operator())), TAKEN);
    world.store.answer_with(&[StoreErrorKind::Unavailable]);
    assert_eq!(
        kind(create(&world, &operator())),
        StoreErrorKind::Unavailable
    );
    world.store.answer_with(&[StoreErrorKind::Conflict]);
    let refused = create(&world, &operator());
    assert!(matches!(refused, Err(IssueError::CallerInactive)));
}

#[test]
fn what_is_not_confirmed_is_done_and_says_so() {
    let world = World::new();
    let [first, second] = [(); 2].map(|()| {
        world.store.answer_with(&[StoreErrorKind::NotConfirmed]);
        create(&world, &operator()).unwrap()
    });
    assert!(!first.confirmed && world.issue().confirmed);
    world.verify(&first.token).unwrap();

    world.store.answer_with(&[StoreErrorKind::NotConfirmed]);
    let rotated = world.rotate(&first.key.id).unwrap();
    assert!(!rotated.confirmed);
    world.verify(&rotated.token).unwrap();
    assert!(world.rotate(&second.key.id).unwrap().confirmed);
}

#[test]
fn the_first_key_is_somebody_elses_only_where_its_id_is_taken() {
    let world = World::new();
    let workspace = || Workspace::parse("acme").unwrap();
    let first = || {
        let new = NewKey::new(name("n"));
        block_on(world.keys.issuer().create_first(workspace(), new))
    };
    world.store.answer_with(&[StoreErrorKind::Unavailable]);
    assert_eq!(kind(first()), StoreErrorKind::Unavailable);
    world.store.answer_with(&[TAKEN]);
    assert!(first().unwrap().is_none());
    // The reservation of a server that has not made the key is found for a day.
    world.clock.turn(23 * 60 * 60 * 1_000);
    let issued = first().unwrap().unwrap();
    assert!(issued.key.created_at().as_millis() < world.clock.millis());
    assert!(first().unwrap().is_none());
}

#[test]
fn a_repeat_finds_the_key_that_another_server_makes_meanwhile() {
    let world = World::new();
    let idempotency = IdempotencyKey::parse("once").unwrap();
    let create_once = {
        let idempotency = idempotency.clone();
        move |world: &World| {
            let new = NewKey::new(name("n"));
            let issuer = world.keys.issuer();
            block_on(issuer.create_once(&operator(), new, &idempotency, b"body"))
        }
    };
    // The first server binds the id, and ends before it has made the key.
    world.store.answer_with(&[StoreErrorKind::Unavailable]);
    assert_eq!(kind(create_once(&world)), StoreErrorKind::Unavailable);
    let (other, create_there) = (world.clone(), create_once.clone());
    let (made, told) = std::sync::mpsc::channel();
    world.store.after_find(move || {
        let IssueOutcome::Issued(issued) = create_there(&other).unwrap() else {
            panic!("it was made before")
        };
        made.send(issued.key.id).unwrap();
    });
    let IssueOutcome::Replayed(key) = create_once(&world).unwrap() else {
        panic!("two keys were made")
    };
    assert_eq!(key.id, told.recv().unwrap());
    assert_eq!(idempotency.to_string(), "once");
}

#[test]
fn an_idempotency_key_is_1_to_255_visible_characters() {
    let [longest, too_long] = [255, 256].map(|length| "k".repeat(length));
    for good in ["a", "!~", &longest] {
        assert!(IdempotencyKey::parse(good).is_ok(), "{good:?}");
    }
    for bad in ["", "a b", "é", "\u{7f}", &too_long] {
        assert!(IdempotencyKey::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_key_is_made_with_all_that_was_asked_for() {
    let world = World::new();
    let new = NewKey::new(name("n"))
        .with_metadata(Metadata::parse(r#"{"team":"a"}"#).unwrap())
        .with_environment(Environment::Test);
    let key = world.issue_new(new.clone()).key;
    assert_eq!(
        (&key.metadata, key.environment),
        (&new.metadata, Environment::Test)
    );
    assert_eq!(world.store.record(&key.id).key, key);
    // And so is the one that takes its place.
    let successor = world.rotate(&key.id).unwrap().key;
    assert_eq!(
        (&successor.metadata, successor.environment),
        (&new.metadata, Environment::Test)
    );
    assert_eq!(world.store.record(&successor.id).key, successor);
}

#[test]
fn a_page_by_number_begins_where_the_one_before_it_ends() {
    let world = World::new();
    let mut ids: Vec<_> = world.issue_many(7).iter().map(|one| one.key.id).collect();
    ids.sort_by(|one, other| other.cmp(one));
    let listed = (1..=4).flat_map(|page| {
        let mut wanted = ListKeys::new();
        (wanted.start, wanted.limit) = (ListStart::page(page, 3), 3);
        block_on(world.keys.issuer().list(&operator(), wanted))
            .unwrap()
            .keys
    });
    assert_eq!(listed.map(|key| key.id).collect::<Vec<_>>(), ids);
}

#[test]
fn a_token_is_told_of_in_its_workspace_and_environment_alone() {
    let world = World::new();
    let live = world.issue();
    let new = NewKey::new(name("n")).with_environment(Environment::Test);
    let test = world.issue_new(new);
    let stranger = Caller::new(Workspace::parse("other").unwrap(), "*".parse().unwrap());
    let is_valid = |caller: &Caller, issued: &Issued| {
        let token = issued.token.expose().as_bytes();
        let told = block_on(world.keys.issuer().introspect(caller, token)).unwrap();
        matches!(told, Introspection::Valid(key) if key.id == issued.key.id)
    };
    for (caller, sees_live, sees_test) in [
        (operator(), true, true),
        (Caller::from(&live.key), true, true),
        (Caller::from(&test.key), false, true),
        (stranger, false, false),
    ] {
        assert_eq!(is_valid(&caller, &live), sees_live, "{caller:?}");
        assert_eq!(is_valid(&caller, &test), sees_test, "{caller:?}");
    }
}

#[test]
fn a_caller_is_current_until_its_key_ends() {
    let world = World::new();
    let end = world.clock.millis() + 1_000;
    let new = NewKey::new(name("n")).with_expiry(Expiry::At(Timestamp::from_millis(end).unwrap()));
    let issued = world.issue_new(new);
    let caller = Caller::from(&issued.key);
    let is_current = || world.keys.verifier().is_current(&caller);
    assert!(is_current());
    world.clock.turn(1_000);
    assert!(!is_current());
    assert_eq!(world.denied(&issued.token), Denied::Expired(issued.key.id));
}
