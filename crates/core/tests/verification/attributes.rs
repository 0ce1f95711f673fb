//! The host's attributes of keys.

use keywright_core::{
    Attributes, Caller, IssueError, KeyUpdate, Metadata, NewKey, NewRotation, Workspace,
};
use pollster::block_on;
use serde::Deserialize;

use crate::world::{World, name, operator};

#[derive(Deserialize, PartialEq, Debug)]
struct Plan {
    plan: String,
    seats: u32,
}

fn attributes(json: &str) -> Attributes {
    Attributes::parse(json).unwrap()
}

#[test]
fn a_host_reads_typed_attributes_of_a_verified_key() {
    let world = World::new();
    let pro = attributes(r#"{"plan":"pro","seats":5}"#);
    let caller = operator().with_attributes(pro);
    let issued = block_on(world.keys.issuer().create(&caller, NewKey::new(name("n")))).unwrap();
    let verified = world.verify(&issued.token).unwrap();
    let read = verified.key().attributes.as_ref().unwrap().get::<Plan>();
    let expected = Plan {
        plan: "pro".into(),
        seats: 5,
    };
    assert_eq!(read.unwrap(), expected);
}

#[test]
fn a_host_sets_and_removes_attributes_for_the_next_verification() {
    let world = World::new();
    let issued = world.issue();
    let id = &issued.key.id;
    let set = |attributes: Option<&Attributes>| {
        block_on(
            world
                .keys
                .issuer()
                .set_attributes(&operator(), id, attributes.cloned()),
        )
    };
    let [free, pro] = [r#"{"plan":"free"}"#, r#"{"plan":"pro"}"#].map(attributes);
    for (round, wanted) in [Some(&free), Some(&pro), None].into_iter().enumerate() {
        let updated = set(wanted).unwrap();
        assert_eq!(updated.version, round as u64 + 2);
        assert_eq!(updated.key.attributes.as_ref(), wanted);
        let verified = world.verify(&issued.token).unwrap();
        assert_eq!(verified.key().attributes.as_ref(), wanted);
    }
    // An equal value is not written.
    let writes = world.store.updates();
    assert_eq!(set(None).unwrap().version, 4);
    assert_eq!(world.store.updates(), writes);
    // A concurrent change is kept.
    let (other, key) = (world.clone(), *id);
    world.store.after_find(move || {
        other.rename(&key, "theirs");
    });
    let updated = set(Some(&pro)).unwrap();
    assert_eq!((updated.version, updated.key.name), (6, name("theirs")));
}

#[test]
fn attributes_of_a_key_elsewhere_or_of_a_revoked_key_cannot_be_set() {
    let world = World::new();
    let id = world.issue().key.id;
    let set = |workspace: &str| {
        let host = Caller::operator(Workspace::parse(workspace).unwrap());
        let pro = Some(attributes(r#"{"plan":"pro"}"#));
        block_on(world.keys.issuer().set_attributes(&host, &id, pro))
    };
    assert!(matches!(set("other"), Err(IssueError::NotFound)));
    assert_eq!(world.find(&id).attributes, None);
    // The host may change a disabled key.
    world
        .update(&id, &KeyUpdate::new().with_enabled(false))
        .unwrap();
    set("acme").unwrap();
    world.revoke(&id);
    assert!(matches!(set("acme"), Err(IssueError::NotFound)));
}

#[test]
fn clients_inherit_attributes_and_cannot_change_them() {
    let world = World::new();
    let issuer = world.keys.issuer();
    let pro = Some(attributes(r#"{"plan":"pro"}"#));
    let parent = world.issue().key;
    block_on(issuer.set_attributes(&operator(), &parent.id, pro.clone())).unwrap();

    let parent = world.find(&parent.id);
    let mut new = NewKey::new(name("n"));
    new.metadata = Some(Metadata::parse(r#"{"plan":"enterprise"}"#).unwrap());
    let child = block_on(issuer.create(&Caller::from(&parent), new))
        .unwrap()
        .key;
    assert_eq!(child.attributes, pro);
    let update = KeyUpdate::new().without_metadata().with_name(name("x"));
    let updated = block_on(issuer.update(&Caller::from(&parent), &child.id, &update)).unwrap();
    assert_eq!(updated.key.attributes, pro);
    // A successor has the attributes of its predecessor, not those of the caller.
    let rotated = block_on(issuer.rotate(&operator(), &child.id, &NewRotation::new())).unwrap();
    assert_eq!(rotated.key.attributes, pro);
}
