//! The issuer's handling of store errors, and what it stores and shows.

use std::{
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use keywright_core::{
    Action, Caller, Config, Denied, Environment, Expiry, IdempotencyKey, Introspection,
    IntrospectionRequest, IssueError, IssueOutcome, Issued, KeyUpdate, Keywright, ListKeys,
    ListStart, Metadata, NewKey, NewRotation, OpenError, Owner, Permissions, Prefix, Reach, Scheme,
    Timestamp, Workspace,
    store::{KeyStore as _, StoreErrorKind},
};
use pollster::block_on;

use crate::world::{World, kind, name, operator};

const TAKEN: StoreErrorKind = StoreErrorKind::AlreadyExists;

fn create(world: &World, caller: &Caller) -> Result<Issued, IssueError> {
    block_on(world.keys.issuer().create(caller, NewKey::new(name("n"))))
}

#[test]
fn only_an_id_that_is_taken_is_drawn_again() {
    let world = World::new();
    world.store.fail_inserts(&[TAKEN, TAKEN]);
    create(&world, &operator()).unwrap();
    world.store.fail_inserts(&[TAKEN, TAKEN, TAKEN]);
    assert_eq!(kind(create(&world, &operator())), TAKEN);
    world.store.fail_inserts(&[StoreErrorKind::Unavailable]);
    assert_eq!(
        kind(create(&world, &operator())),
        StoreErrorKind::Unavailable
    );
    world.store.fail_inserts(&[StoreErrorKind::Conflict]);
    let rejected = create(&world, &operator());
    assert!(matches!(rejected, Err(IssueError::CallerInactive)));
}

#[test]
fn an_unconfirmed_insert_or_rotation_succeeds_and_is_marked_as_unconfirmed() {
    let world = World::new();
    let [first, second] = [(); 2].map(|()| {
        world.store.fail_inserts(&[StoreErrorKind::NotConfirmed]);
        create(&world, &operator()).unwrap()
    });
    assert!(!first.confirmed && world.issue().confirmed);
    world.verify(&first.token).unwrap();

    world.store.fail_inserts(&[StoreErrorKind::NotConfirmed]);
    let rotated = world.rotate(&first.key.id).unwrap();
    assert!(!rotated.confirmed);
    world.verify(&rotated.token).unwrap();
    assert!(world.rotate(&second.key.id).unwrap().confirmed);
}

#[test]
fn the_first_key_belongs_to_another_server_only_if_its_id_is_taken() {
    let world = World::new();
    let first = || {
        let new = NewKey::new(name("n"));
        block_on(world.keys.issuer().create_first(&operator(), new))
    };
    world.store.fail_inserts(&[StoreErrorKind::Unavailable]);
    assert_eq!(kind(first()), StoreErrorKind::Unavailable);
    world.store.fail_inserts(&[TAKEN]);
    assert!(first().unwrap().is_none());
    // The reservation of a server that has not created the key is in force for a day.
    world.clock.adjust(23 * 60 * 60 * 1_000);
    let issued = first().unwrap().unwrap();
    assert!(issued.key.created_at().as_millis() < world.clock.millis());
    assert!(first().unwrap().is_none());
}

#[test]
fn the_first_key_has_what_its_caller_has_and_nothing_more() {
    let day = Duration::from_secs(24 * 60 * 60);
    let world = World::with(|config| config.with_max_lifetime(day));
    let caller = Caller::new(
        Workspace::parse("acme").unwrap(),
        "api_keys:*,calls:*".parse().unwrap(),
    )
    .with_owner(Owner::parse("operations").unwrap());
    let first = |new: NewKey| block_on(world.keys.issuer().create_first(&caller, new));
    let wide = NewKey::new(name("n")).with_permissions(Permissions::all());
    let rejected = first(wide).map(drop);
    assert!(matches!(rejected, Err(IssueError::NotPermitted(_))));
    let key = first(NewKey::new(name("n"))).unwrap().unwrap().key;
    assert_eq!(key.permissions, *caller.permissions());
    assert_eq!(key.owner.as_ref(), caller.owner());
    assert_eq!(key.parent, None);
    let end = key.created_at().saturating_add(day);
    assert_eq!(key.expires_at, Some(end));
}

#[test]
fn a_repeated_request_returns_the_key_that_another_server_creates_in_the_meantime() {
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
    // The first server binds the id, and ends before it has created the key.
    world.store.fail_inserts(&[StoreErrorKind::Unavailable]);
    assert_eq!(kind(create_once(&world)), StoreErrorKind::Unavailable);
    let (other, create_there) = (world.clone(), create_once.clone());
    let (sender, receiver) = std::sync::mpsc::channel();
    world.store.after_find(move || {
        let IssueOutcome::Issued(issued) = create_there(&other).unwrap() else {
            panic!("the key was created before")
        };
        sender.send(issued.key.id).unwrap();
    });
    let IssueOutcome::Replayed(key) = create_once(&world).unwrap() else {
        panic!("two keys were created")
    };
    assert_eq!(key.id, receiver.recv().unwrap());
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
fn a_key_is_stored_as_requested() {
    let world = World::new();
    let mut new = NewKey::new(name("n"));
    new.metadata = Some(Metadata::parse(r#"{"team":"a"}"#).unwrap());
    new.environment = Some(Environment::Test);
    let key = world.issue_new(new.clone()).key;
    assert_eq!(
        (&key.metadata, key.environment),
        (&new.metadata, Environment::Test)
    );
    assert_eq!(world.store.record(&key.id).key, key);
    // So is its successor.
    let successor = world.rotate(&key.id).unwrap().key;
    assert_eq!(
        (&successor.metadata, successor.environment),
        (&new.metadata, Environment::Test)
    );
    assert_eq!(world.store.record(&successor.id).key, successor);
}

#[test]
fn a_page_by_number_starts_where_the_previous_page_ends() {
    let world = World::new();
    let mut ids: Vec<_> = world
        .issue_many(7)
        .iter()
        .map(|issued| issued.key.id)
        .collect();
    ids.sort_by(|a, b| b.cmp(a));
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
fn a_token_is_valid_only_to_callers_of_its_workspace_and_environment() {
    let world = World::new();
    let live = world.issue();
    let mut new = NewKey::new(name("n"));
    new.environment = Some(Environment::Test);
    let test = world.issue_new(new);
    let stranger = Caller::new(Workspace::parse("other").unwrap(), "*".parse().unwrap());
    let is_valid = |caller: &Caller, issued: &Issued| {
        let token = issued.token.expose().as_bytes();
        let request = IntrospectionRequest::new();
        let introspection =
            block_on(world.keys.issuer().introspect(caller, token, &request)).unwrap();
        matches!(introspection, Introspection::Valid(key) if key.id == issued.key.id)
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
fn a_caller_is_current_until_its_key_expires() {
    let world = World::new();
    let mut new = NewKey::new(name("n"));
    let end = world.clock.millis() + 1_000;
    new.expiry = Expiry::At(Timestamp::from_millis(end).unwrap());
    let issued = world.issue_new(new);
    let caller = Caller::from(&issued.key);
    let is_current = || world.keys.verifier().is_current(&caller);
    assert!(is_current());
    world.clock.adjust(1_000);
    assert!(!is_current());
    assert_eq!(world.denied(&issued.token), Denied::Expired(issued.key.id));
}

#[test]
fn a_caller_that_another_instance_verified_is_rejected_by_every_operation() {
    let world = World::new();
    // The other instance has the same store, so every id that the caller names exists here.
    let other = world.reopened(|config| config);
    let issued = world.issue();
    let verified = other.verify(&issued.token).unwrap();
    let (issuer, id) = (world.keys.issuer(), issued.key.id);
    let idempotency = IdempotencyKey::parse("once").unwrap();
    let update = KeyUpdate::new().with_name(name("x"));
    let rotation = NewRotation::new();
    let rejections = |caller: &Caller| {
        let new = || NewKey::new(name("n"));
        let rotate_once = issuer.rotate_once(caller, &id, &rotation, &idempotency, b"");
        [
            issuer.authorize(caller, Action::Find, Some(&id)).err(),
            block_on(issuer.create(caller, new())).err(),
            block_on(issuer.create_once(caller, new(), &idempotency, b"")).err(),
            block_on(issuer.list(caller, ListKeys::new())).err(),
            block_on(issuer.find(caller, &id)).err(),
            block_on(issuer.update(caller, &id, &update)).err(),
            block_on(issuer.rotate(caller, &id, &rotation)).err(),
            block_on(rotate_once).err(),
            block_on(issuer.introspect(caller, b"x", &IntrospectionRequest::new())).err(),
            block_on(issuer.revoke(caller, &id, Reach::Key)).err(),
            block_on(issuer.revoke_all(caller, None)).err(),
        ]
    };
    let foreign = verified.caller().with_environment(Environment::Live);
    for caller in [&foreign, &foreign.clone()] {
        assert!(!world.keys.verifier().trusts(caller));
        assert!(!world.keys.verifier().has_verified(&verified));
        for rejection in rejections(caller) {
            assert!(
                matches!(rejection, Some(IssueError::CallerForeign)),
                "{rejection:?}"
            );
        }
    }
    // A caller that the host made is valid in every instance, and so is a caller from a clone of
    // this instance.
    let own = world.verify(&issued.token).unwrap();
    let clone = world.keys.clone();
    assert!(clone.verifier().trusts(&own.caller()) && clone.verifier().has_verified(&own));
    for caller in [own.caller(), Caller::from(verified.key()), operator()] {
        assert!(world.keys.verifier().trusts(&caller));
        assert!(create(&world, &caller).is_ok());
    }
}

fn open_with_prefix(world: &World, prefix: &str) -> Result<Keywright, OpenError> {
    let config = Config::new(Prefix::parse(prefix).unwrap()).with_scheme(Scheme::HmacSha256);
    block_on(Keywright::open(config, Arc::clone(&world.store) as _))
}

#[test]
fn opening_an_empty_store_does_not_claim_it_for_a_prefix() {
    // The world's prefix is `sk`. It lists the keys of the empty store.
    let world = World::new();
    let list = ListKeys::new();
    let page = block_on(world.keys.issuer().list(&operator(), list)).unwrap();
    assert!(page.keys.is_empty());
    let acme = open_with_prefix(&world, "acme").unwrap();
    let new = || NewKey::new(name("n"));
    let issued = block_on(acme.issuer().create(&operator(), new())).unwrap();
    assert!(issued.token.expose().starts_with("acme_"));

    // The first creation has claimed the store, even from programs that already have it open.
    let error = block_on(world.keys.issuer().create(&operator(), new()));
    let message = "the store's keys begin with acme_, not with sk_";
    assert_eq!(error.map(|_| ()).unwrap_err().to_string(), message);
    let error = open_with_prefix(&world, "sk").map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), message);
    assert!(open_with_prefix(&world, "acme").is_ok());
}

#[test]
fn a_creation_that_is_not_permitted_claims_nothing() {
    let world = World::new();
    let powerless = Caller::new(Workspace::parse("acme").unwrap(), Permissions::default());
    let denied = block_on(
        world
            .keys
            .issuer()
            .create(&powerless, NewKey::new(name("n"))),
    );
    assert!(matches!(denied, Err(IssueError::NotPermitted(_))));
    assert_eq!(block_on(world.store.prefix()).unwrap(), None);
}

#[test]
fn one_prefix_wins_when_first_creations_with_different_prefixes_are_concurrent() {
    let world = World::new();
    let prefixes = ["aa", "bb", "cc", "dd"];
    let opened = prefixes.map(|prefix| open_with_prefix(&world, prefix).unwrap());
    let start = Barrier::new(opened.len());
    let created = thread::scope(|scope| {
        let running = opened.each_ref().map(|keys| {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                let new = NewKey::new(name("n"));
                let issued = block_on(keys.issuer().create(&operator(), new));
                issued.is_ok()
            })
        });
        running.map(|thread| thread.join().unwrap())
    });
    let claimed = block_on(world.store.prefix()).unwrap().unwrap();
    assert_eq!(created, prefixes.map(|prefix| prefix == claimed.as_str()));
}
