//! Each change records its event. Calls that change nothing record none.

use std::{net::IpAddr, time::Duration};

use keywright_core::{
    Actor, Attributes, Caller, Environment, EventKind, Expiry, IdempotencyKey, IssueError,
    IssueOutcome, Key, KeyUpdate, Metadata, NewKey, NewRotation, Owner, Reach, RequestId,
    Timestamp, store::StoreErrorKind,
};
use pollster::block_on;
use serde_json::{Value, json};

use super::{caller, history, log, world};
use crate::world::{World, name, operator};

const ADDRESS: &str = "2001:db8::7";

/// Returns a person who has signed in to the host and sends a request.
fn person() -> Caller {
    caller("*")
        .with_owner(Owner::parse("user:42").unwrap())
        .with_request_id(RequestId::parse("req_1").unwrap())
        .with_client_ip(ADDRESS.parse::<IpAddr>().unwrap())
}

fn at(world: &World, seconds: i64) -> Timestamp {
    Timestamp::from_millis(world.clock.millis() + seconds * 1_000).unwrap()
}

/// Returns the JSON of the only event of a key since its first events.
fn next_event(world: &World, key: &Key, earlier: usize) -> Value {
    let events = history(world, &key.id);
    assert_eq!(events.len(), earlier + 1, "{events:?}");
    serde_json::to_value(&events[earlier]).unwrap()
}

#[test]
fn a_creation_records_who_asked_for_what() {
    let world = world();
    let mut new = NewKey::new(name("CI"))
        .with_permissions("calls:read,calls:write".parse().unwrap())
        .with_environment(Environment::Test)
        .with_expiry(Expiry::At(at(&world, 60)))
        .with_allowed_ips("192.0.2.0/24,2001:db8::7".parse().unwrap());
    new.metadata = Some(Metadata::parse(r#"{"team":"a"}"#).unwrap());
    let person = person().with_attributes(Attributes::parse(r#"{"plan":"pro"}"#).unwrap());
    let issued = block_on(world.keys.issuer().create(&person, new)).unwrap();
    let event = next_event(&world, &issued.key, 0);
    let now = at(&world, 0).to_string();
    assert_eq!(
        event,
        json!({
            "id": event["id"],
            "type": "api_key.created",
            "created_at": now,
            "workspace": "acme",
            "environment": "test",
            "key_id": issued.key.id.to_string(),
            "owner": "user:42",
            "actor": {"type": "host", "owner": "user:42"},
            "request_id": "req_1",
            "client_ip": ADDRESS,
            "changes": {
                "name": [null, "CI"],
                "permissions": [null, ["calls:read", "calls:write"]],
                "expires_at": [null, at(&world, 60).to_string()],
                "allowed_ips": [null, ["192.0.2.0/24", "2001:db8::7"]],
                "metadata": "changed",
                "attributes": "changed",
            },
        })
    );

    // Settings with their default are left out.
    let plain = world.issue().key;
    assert_eq!(
        next_event(&world, &plain, 0)["changes"],
        json!({"name": [null, "n"], "permissions": [null, ["*"]]})
    );
}

#[test]
fn an_update_records_the_fields_that_it_changed() {
    let world = world();
    let key = world.issue().key;
    let end = at(&world, 60);
    let updates = [
        (
            KeyUpdate::new().with_name(name("new")),
            json!({"name": ["n", "new"]}),
        ),
        (
            KeyUpdate::new().with_permissions("calls:read".parse().unwrap()),
            json!({"permissions": [["*"], ["calls:read"]]}),
        ),
        (
            KeyUpdate::new().with_enabled(false),
            json!({"enabled": [true, false]}),
        ),
        (
            KeyUpdate::new().with_enabled(true),
            json!({"enabled": [false, true]}),
        ),
        (
            KeyUpdate::new().with_expires_at(end),
            json!({"expires_at": [null, end.to_string()]}),
        ),
        (
            KeyUpdate::new().without_expires_at(),
            json!({"expires_at": [end.to_string(), null]}),
        ),
        (
            KeyUpdate::new().with_allowed_ips("192.0.2.7".parse().unwrap()),
            json!({"allowed_ips": [null, ["192.0.2.7"]]}),
        ),
        (
            KeyUpdate::new().without_allowed_ips(),
            json!({"allowed_ips": [["192.0.2.7"], null]}),
        ),
        (
            KeyUpdate::new().with_metadata(Metadata::parse(r#"{"note":"a"}"#).unwrap()),
            json!({"metadata": "changed"}),
        ),
        (
            KeyUpdate::new()
                .with_name(name("newer"))
                .with_enabled(true)
                .without_metadata(),
            json!({"name": ["new", "newer"], "metadata": "changed"}),
        ),
    ];
    for (index, (update, changes)) in updates.into_iter().enumerate() {
        world.clock.adjust(1);
        block_on(world.keys.issuer().update(&person(), &key.id, &update)).unwrap();
        let event = next_event(&world, &key, index + 1);
        assert_eq!(event["type"], "api_key.updated");
        assert_eq!(event["changes"], changes);
        assert_eq!(event["actor"], json!({"type": "host", "owner": "user:42"}));
        assert_eq!(
            (&event["request_id"], &event["client_ip"]),
            (&json!("req_1"), &json!(ADDRESS))
        );
    }
    let attributes = Attributes::parse(r#"{"plan":"pro"}"#).unwrap();
    let issuer = world.keys.issuer();
    world.clock.adjust(1);
    block_on(issuer.set_attributes(&person(), &key.id, Some(attributes))).unwrap();
    let event = next_event(&world, &key, 11);
    assert_eq!(event["changes"], json!({"attributes": "changed"}));
    assert_eq!(event["type"], "api_key.updated");
}

#[test]
fn an_update_that_met_another_one_records_what_it_changed_itself() {
    let world = world();
    let key = world.issue().key;
    let (other, id) = (world.clone(), key.id);
    world.store.after_find(move || {
        other.clock.adjust(1);
        other.rename(&id, "theirs");
        other.clock.adjust(1);
    });
    let update = KeyUpdate::new().with_name(name("ours")).with_enabled(false);
    world.update(&key.id, &update).unwrap();
    let changes: Vec<Value> = history(&world, &key.id)
        .iter()
        .skip(1)
        .map(|event| serde_json::to_value(&event.changes).unwrap())
        .collect();
    assert_eq!(
        changes,
        [
            json!({"name": ["n", "theirs"]}),
            json!({"name": ["theirs", "ours"], "enabled": [true, false]}),
        ]
    );
}

#[test]
fn a_rotation_records_the_successor_and_when_the_key_ends() {
    let world = world();
    let rotate = |key: &Key, rotation: NewRotation| {
        world.clock.adjust(1);
        let issuer = world.keys.issuer();
        block_on(issuer.rotate(&person(), &key.id, &rotation))
            .unwrap()
            .key
    };
    let hour = Duration::from_secs(60 * 60);
    let key = world.issue().key;
    let successor = rotate(&key, NewRotation::new().with_overlap(hour));
    let event = next_event(&world, &key, 1);
    let end = at(&world, 60 * 60).to_string();
    assert_eq!(
        event,
        json!({
            "id": event["id"],
            "type": "api_key.rotated",
            "successor_id": successor.id.to_string(),
            "created_at": at(&world, 0).to_string(),
            "workspace": "acme",
            "environment": "live",
            "key_id": key.id.to_string(),
            "actor": {"type": "host", "owner": "user:42"},
            "request_id": "req_1",
            "client_ip": ADDRESS,
            "changes": {"expires_at": [null, end]},
        })
    );
    assert_eq!(world.find(&key.id).expires_at, Some(at(&world, 60 * 60)));
    // The rotation is the event of the successor as well.
    assert!(history(&world, &successor.id).is_empty());

    let second = rotate(&successor, NewRotation::new().with_overlap(Duration::ZERO));
    let event = next_event(&world, &successor, 0);
    let now = at(&world, 0).to_string();
    assert_eq!(event["changes"], json!({"revoked_at": [null, now]}));
    assert_eq!(event["successor_id"], json!(second.id.to_string()));

    // A key that ends before the overlap keeps its end.
    let soon = NewKey::new(name("n")).with_expiry(Expiry::At(at(&world, 60)));
    let key = world.issue_new(soon).key;
    rotate(&key, NewRotation::new().with_overlap(hour));
    let event = next_event(&world, &key, 1);
    assert_eq!(event.get("changes"), None);
}

#[test]
fn a_revocation_records_how_many_keys_it_revoked() {
    let world = world();
    let issuer = world.keys.issuer();
    let parent = world.issue().key;
    let child = |parent: &Key| {
        block_on(issuer.create(&Caller::from(parent), NewKey::new(name("n"))))
            .unwrap()
            .key
    };
    let [first, second] = [(); 2].map(|()| child(&parent));
    child(&first);
    world.clock.adjust(1);
    block_on(issuer.revoke(&person(), &second.id, Reach::Key)).unwrap();
    let event = next_event(&world, &second, 1);
    assert_eq!(
        event,
        json!({
            "id": event["id"],
            "type": "api_key.revoked",
            "cascade": false,
            "count": 1,
            "created_at": at(&world, 0).to_string(),
            "workspace": "acme",
            "environment": "live",
            "key_id": second.id.to_string(),
            "actor": {"type": "host", "owner": "user:42"},
            "request_id": "req_1",
            "client_ip": ADDRESS,
        })
    );

    // A cascade has one event, on the key that the call named.
    let before = log(&world).len();
    world.clock.adjust(1);
    block_on(issuer.revoke(&person(), &parent.id, Reach::Descendants)).unwrap();
    let event = next_event(&world, &parent, 1);
    assert_eq!(
        (&event["cascade"], &event["count"]),
        (&json!(true), &json!(3))
    );
    assert_eq!(log(&world).len(), before + 1);

    // It may begin at a revoked key.
    let parent = world.issue().key;
    child(&parent);
    world.revoke(&parent.id);
    world.clock.adjust(1);
    block_on(issuer.revoke(&person(), &parent.id, Reach::Descendants)).unwrap();
    let event = next_event(&world, &parent, 2);
    assert_eq!(
        (&event["cascade"], &event["count"]),
        (&json!(true), &json!(1))
    );
}

#[test]
fn the_revocation_of_all_keys_of_a_person_records_each() {
    let world = world();
    let issuer = world.keys.issuer();
    let person = person();
    let keys = [(); 3].map(|()| {
        let new = NewKey::new(name("n"));
        block_on(issuer.create(&person, new)).unwrap().key
    });
    world.clock.adjust(1);
    let owner = person.owner().unwrap();
    assert_eq!(
        block_on(issuer.revoke_all(&operator(), Some(owner))).unwrap(),
        3
    );
    for key in &keys {
        let event = next_event(&world, key, 1);
        assert_eq!(
            (&event["type"], &event["count"]),
            (&json!("api_key.revoked"), &json!(1))
        );
    }
}

#[test]
fn the_actor_is_the_party_that_makes_the_change() {
    let world = world();
    let issuer = world.keys.issuer();
    let first = block_on(issuer.create_first(&operator(), NewKey::new(name("n"))));
    let first = first.unwrap().unwrap();
    let owner = Owner::parse("user:42").unwrap();
    let verified = world.verify(&first.token).unwrap().caller();
    let workspace = operator().workspace().clone();
    let created = |caller: &Caller| {
        let new = NewKey::new(name("n"));
        let key = block_on(issuer.create(caller, new)).unwrap().key;
        history(&world, &key.id)[0].actor.clone()
    };
    assert_eq!(history(&world, &first.key.id)[0].actor, Actor::System);
    let key = |owner: Option<Owner>| Actor::Key {
        id: first.key.id,
        owner,
    };
    let host = |owner: Option<Owner>| Actor::Host { owner };
    for (caller, actor, text) in [
        (verified.clone(), key(None), first.key.id.to_string()),
        (
            verified.with_owner(owner.clone()),
            key(Some(owner.clone())),
            first.key.id.to_string(),
        ),
        (caller("*"), host(None), "host".into()),
        (person(), host(Some(owner.clone())), "host user:42".into()),
        (
            Caller::operator(workspace.clone()),
            Actor::Operator,
            "operator".into(),
        ),
        (
            Caller::operator(workspace).with_owner(owner),
            Actor::Operator,
            "operator".into(),
        ),
    ] {
        assert_eq!(caller.actor(), actor);
        assert_eq!(created(&caller), actor);
        assert_eq!(actor.to_string(), text);
    }
    assert_eq!(Actor::System.to_string(), "system");
}

#[test]
fn a_repeated_request_records_nothing() {
    let world = world();
    let issuer = world.keys.issuer();
    let once = IdempotencyKey::parse("once").unwrap();
    let create = || {
        let new = NewKey::new(name("n"));
        block_on(issuer.create_once(&person(), new, &once, b"body")).unwrap()
    };
    let IssueOutcome::Issued(issued) = create() else {
        panic!("the request was a repeat")
    };
    let rotate = || {
        let rotation = NewRotation::new();
        block_on(issuer.rotate_once(&person(), &issued.key.id, &rotation, &once, b"body")).unwrap()
    };
    assert_eq!(log(&world).len(), 1);
    assert!(matches!(create(), IssueOutcome::Replayed(_)));
    assert_eq!(log(&world).len(), 1);
    world.clock.adjust(1);
    assert!(matches!(rotate(), IssueOutcome::Issued(_)));
    assert_eq!(log(&world).len(), 2);
    assert!(matches!(rotate(), IssueOutcome::Replayed(_)));
    let first = block_on(issuer.create_first(&operator(), NewKey::new(name("n"))));
    assert!(first.unwrap().is_none());
    assert_eq!(log(&world).len(), 2);
}

#[test]
fn a_call_that_changes_nothing_records_nothing() {
    let world = world();
    let issuer = world.keys.issuer();
    let key = world.issue().key;
    let unchanged = [
        KeyUpdate::new(),
        KeyUpdate::new()
            .with_name(key.name.clone())
            .with_enabled(true),
        KeyUpdate::new().without_metadata().without_expires_at(),
    ];
    for update in unchanged {
        world.update(&key.id, &update).unwrap();
    }
    block_on(issuer.set_attributes(&operator(), &key.id, None)).unwrap();
    assert_eq!(log(&world).len(), 1);
    world.revoke(&key.id);
    for reach in [Reach::Key, Reach::Descendants] {
        let repeated = block_on(issuer.revoke(&operator(), &key.id, reach));
        assert!(matches!(repeated, Err(IssueError::NotFound)));
    }
    assert_eq!(log(&world).len(), 2);
}

#[test]
fn a_call_that_fails_records_nothing() {
    let world = world();
    let issuer = world.keys.issuer();
    let key = world.issue().key;
    let powerless = caller("calls:read");
    let update = KeyUpdate::new().with_name(name("new"));
    let rotation = NewRotation::new();
    let new = || NewKey::new(name("n"));
    let calls = |caller: &Caller| {
        [
            block_on(issuer.create(caller, new())).err(),
            block_on(issuer.update(caller, &key.id, &update)).err(),
            block_on(issuer.rotate(caller, &key.id, &rotation)).err(),
            block_on(issuer.revoke(caller, &key.id, Reach::Descendants)).err(),
        ]
    };
    for error in calls(&powerless) {
        assert!(
            matches!(error, Some(IssueError::NotPermitted(_))),
            "{error:?}"
        );
    }
    let kinds = [StoreErrorKind::Unavailable; 2];
    world.store.fail_inserts(&kinds);
    world.store.fail_changes(&kinds);
    for error in calls(&operator()) {
        assert!(matches!(error, Some(IssueError::Store(_))), "{error:?}");
    }
    assert_eq!(log(&world).len(), 1);
    assert!(calls(&operator()).iter().all(Option::is_none));
    assert_eq!(log(&world).len(), 5);
}

#[test]
fn a_creation_that_met_a_taken_id_records_one_event_of_the_key() {
    let world = world();
    world
        .store
        .fail_inserts(&[StoreErrorKind::AlreadyExists; 2]);
    let key = world.issue().key;
    let events = log(&world);
    assert_eq!(events.len(), 1);
    assert_eq!(
        (events[0].key, events[0].kind),
        (key.id, EventKind::Created)
    );
}

#[test]
fn no_event_contains_a_byte_of_a_secret() {
    let world = world();
    let issued = world.issue();
    world.clock.adjust(1);
    let rotated = world.rotate(&issued.key.id).unwrap();
    world.revoke(&rotated.key.id);
    let events = log(&world);
    assert_eq!(events.len(), 3);
    let text = format!("{events:?}{}", serde_json::to_string(&events).unwrap());
    for token in [&issued.token, &rotated.token] {
        // The part after the id.
        let secret = token.expose().rsplit('_').next().unwrap();
        for part in secret.as_bytes().windows(8) {
            let part = std::str::from_utf8(part).unwrap();
            assert!(!text.contains(part), "{part}");
        }
    }
    for key in [&issued.key, &rotated.key] {
        let hash = world.store.record(&key.id).credential.hash.to_string();
        let output = hash.rsplit('$').next().unwrap();
        assert!(!text.contains(output), "{output}");
    }
}
