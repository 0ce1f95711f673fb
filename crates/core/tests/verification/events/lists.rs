//! Lists of events on behalf of a caller.

use keywright_core::{
    Caller, Environment, Event, EventOrder, EventPosition, IssueError, ListEvents, ListKeys,
    NewKey, Owner, Reach, Timestamp, Workspace,
    store::{KeyStore as _, Purge},
};
use pollster::block_on;

use super::{all, caller, history, log, world};
use crate::world::{World, name, operator};

fn owner(text: &str) -> Owner {
    Owner::parse(text).unwrap()
}

/// Creates keys of two owners in both environments, and a key in another workspace.
fn populated() -> World {
    let world = world();
    let issuer = world.keys.issuer();
    let other = Caller::operator(Workspace::parse("other").unwrap());
    for (caller, environment) in [
        (operator().with_owner(owner("user:1")), Environment::Live),
        (operator().with_owner(owner("user:1")), Environment::Test),
        (operator().with_owner(owner("user:2")), Environment::Live),
        (operator(), Environment::Test),
        (other, Environment::Live),
    ] {
        world.clock.adjust(1);
        let new = NewKey::new(name("n")).with_environment(environment);
        block_on(issuer.create(&caller, new)).unwrap();
    }
    world
}

fn owners(events: Vec<Event>) -> Vec<Option<String>> {
    let owners = events.into_iter().map(|event| event.owner);
    owners.map(|owner| Some(owner?.to_string())).collect()
}

#[test]
fn a_caller_sees_the_events_of_the_keys_that_it_sees() {
    let world = populated();
    let list =
        |caller: &Caller, list: ListEvents| all(world.keys.issuer(), caller, list).map(owners);
    let [one, two] = ["user:1", "user:2"].map(|owner| Some(owner.to_owned()));
    let everything = ListEvents::new();
    let reader = caller("api_keys:read");
    let own = caller("api_keys.own:read").with_owner(owner("user:1"));
    let test = |caller: &Caller| caller.clone().with_environment(Environment::Test);
    assert_eq!(
        list(&reader, everything.clone()).unwrap(),
        [one.clone(), one.clone(), two.clone(), None]
    );
    assert_eq!(
        list(&test(&reader), everything.clone()).unwrap(),
        [one.clone(), None]
    );
    assert_eq!(
        list(&own, everything.clone()).unwrap(),
        [one.clone(), one.clone()]
    );
    assert_eq!(
        list(&test(&own), everything.clone()).unwrap(),
        std::slice::from_ref(&one)
    );
    let by_two = everything.clone().with_owner(owner("user:2"));
    assert_eq!(list(&reader, by_two.clone()).unwrap(), [two]);
    // The keys of another owner do not exist for this caller, whether it names the owner or a key.
    let foreign = log(&world)[2].key;
    let lists = world.store.event_lists();
    assert!(list(&own, by_two).unwrap().is_empty());
    assert_eq!(world.store.event_lists(), lists);
    assert!(
        list(&own, everything.clone().with_key(foreign))
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        list(&reader, everything.clone().with_key(foreign))
            .unwrap()
            .len(),
        1
    );
    let elsewhere = Caller::operator(Workspace::parse("other").unwrap());
    assert_eq!(list(&elsewhere, everything.clone()).unwrap(), [None]);
    assert!(
        list(&elsewhere, everything.clone().with_key(foreign))
            .unwrap()
            .is_empty()
    );

    let position = EventPosition::since(Timestamp::from_millis(0).unwrap());
    for powerless in [
        caller("api_keys:write,calls:*"),
        caller("api_keys.own:read"),
        caller("api_keys.own:write").with_owner(owner("user:1")),
    ] {
        let listed = list(&powerless, everything.clone());
        assert!(
            matches!(listed, Err(IssueError::NotPermitted(_))),
            "{listed:?}"
        );
        let unread = world
            .keys
            .issuer()
            .unread_events(&powerless, &everything, &position);
        assert!(matches!(block_on(unread), Err(IssueError::NotPermitted(_))));
    }
}

#[test]
fn a_caller_that_is_revoked_or_of_another_instance_lists_no_events() {
    let world = world();
    let issued = world.issue();
    let foreign = world
        .reopened(|config| config)
        .verify(&issued.token)
        .unwrap();
    let own = world.verify(&issued.token).unwrap();
    let position = EventPosition::since(Timestamp::from_millis(0).unwrap());
    let list = |caller: &Caller| {
        let issuer = world.keys.issuer();
        let everything = ListEvents::new();
        let unread = block_on(issuer.unread_events(caller, &everything, &position));
        [
            unread.map(drop),
            block_on(issuer.events(caller, everything)).map(drop),
            block_on(issuer.report(caller, None)).map(drop),
        ]
    };
    assert!(list(&own.caller()).iter().all(Result::is_ok));
    for rejected in list(&foreign.caller()) {
        assert!(
            matches!(rejected, Err(IssueError::CallerForeign)),
            "{rejected:?}"
        );
    }
    world.revoke(&issued.key.id);
    for rejected in list(&own.caller()) {
        assert!(
            matches!(rejected, Err(IssueError::CallerInactive)),
            "{rejected:?}"
        );
    }
}

#[test]
fn a_cursor_belongs_to_one_list() {
    let world = populated();
    let issuer = world.keys.issuer();
    let list = ListEvents::new().with_limit(1);
    let cursor = block_on(issuer.events(&operator(), list.clone()))
        .unwrap()
        .next
        .unwrap();
    let with_cursor = |list: &ListEvents| list.clone().with_after(cursor.clone());
    // The limit is not part of the list.
    let wider = with_cursor(&list.clone().with_limit(7));
    assert_eq!(
        block_on(issuer.events(&operator(), wider))
            .unwrap()
            .events
            .len(),
        3
    );

    let key = log(&world)[0].key;
    let elsewhere = Caller::operator(Workspace::parse("other").unwrap());
    let test = operator().with_environment(Environment::Test);
    let own = caller("api_keys.own:read").with_owner(owner("user:1"));
    let keys = ListKeys::new().with_limit(1);
    let of_keys = block_on(issuer.list(&operator(), keys))
        .unwrap()
        .next
        .unwrap();
    for (caller, wanted) in [
        (operator(), list.clone().with_order(EventOrder::OldestFirst)),
        (operator(), list.clone().with_key(key)),
        (operator(), list.clone().with_owner(owner("user:1"))),
        (elsewhere, list.clone()),
        (test, list.clone()),
        (own, list.clone()),
    ] {
        let listed = block_on(issuer.events(&caller, with_cursor(&wanted)));
        assert!(matches!(listed, Err(IssueError::Cursor)), "{wanted:?}");
    }
    for malformed in [
        of_keys,
        String::new(),
        "a".into(),
        cursor.to_lowercase(),
        format!("{cursor}a"),
    ] {
        let listed = block_on(issuer.events(&operator(), list.clone().with_after(malformed)));
        assert!(matches!(listed, Err(IssueError::Cursor)));
    }
}

#[test]
fn a_page_has_1_to_100_events() {
    let world = world();
    let key = world.issue().key;
    for number in 0..120 {
        world.clock.adjust(1);
        world.rename(&key.id, &format!("name {number}"));
    }
    let count = |limit: u32| {
        let list = ListEvents::new().with_limit(limit);
        let page = block_on(world.keys.issuer().events(&operator(), list)).unwrap();
        page.events.len()
    };
    for (limit, expected) in [
        (0, 1),
        (1, 1),
        (20, 20),
        (100, 100),
        (101, 100),
        (u32::MAX, 100),
    ] {
        assert_eq!(count(limit), expected, "limit {limit}");
    }
    let newest = block_on(world.keys.issuer().events(&operator(), ListEvents::new())).unwrap();
    let mut log = log(&world);
    log.reverse();
    assert_eq!(newest.events, log[..20]);
}

#[test]
fn a_token_in_place_of_an_owner_does_not_reach_the_store() {
    let world = world();
    let token = world.issue().token;
    let list = ListEvents::new().with_owner(owner(token.expose()));
    let issuer = world.keys.issuer();
    let page = block_on(issuer.events(&operator(), list.clone())).unwrap();
    assert!(page.events.is_empty() && page.next.is_none());
    let position = EventPosition::since(Timestamp::from_millis(0).unwrap());
    let unread = block_on(issuer.unread_events(&operator(), &list, &position)).unwrap();
    assert!(unread.is_empty());
    assert_eq!(world.store.event_lists(), 0);
}

#[test]
fn the_events_of_a_key_remain_when_it_is_purged() {
    let world = world();
    let issuer = world.keys.issuer();
    let key = world.issue().key;
    world.clock.adjust(1);
    block_on(issuer.revoke(&operator(), &key.id, Reach::Key)).unwrap();
    world.clock.adjust(1);
    let now = Timestamp::from_millis(world.clock.millis()).unwrap();
    let purge = Purge::new(100).with_revoked_before(now);
    assert_eq!(block_on(world.store.purge(&purge)).unwrap(), 1);
    assert_eq!(history(&world, &key.id).len(), 2);
}
