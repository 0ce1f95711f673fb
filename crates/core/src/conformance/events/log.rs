//! Reads the event log, and compares it with the events that it should contain.

use std::collections::BTreeSet;

use crate::{
    Actor, Changes, Environment, Event, EventId, EventKind, EventOrder, EventPage, Key, KeyId,
    ListEvents, Owner, Reach, Revocation, Timestamp, Transition, Workspace,
    conformance::{
        fixture::{at, event, name, now, owned, record_in, revoked, unused_id, workspace},
        handle::Handle,
        harness::Harness,
    },
    store::{PurgeEvents, Record},
};

/// Creates a list of all events, the oldest first, on one page.
pub(super) fn everything() -> ListEvents<EventId> {
    ListEvents::new()
        .with_order(EventOrder::OldestFirst)
        .with_limit(1_000)
}

/// Returns the events on all pages from the first, following the cursors. Calls `between` after
/// each page.
#[track_caller]
pub(super) fn walk<H: Harness>(
    store: &Handle<'_, H>,
    tenant: &Workspace,
    environment: Environment,
    list: &ListEvents<EventId>,
    mut between: impl FnMut(&EventPage<EventId>),
) -> Vec<Event> {
    let mut list = list.clone();
    let mut events = Vec::new();
    loop {
        let page = store.events_as(tenant, environment, &list);
        assert!(
            page.events.len() <= list.limit as usize,
            "returned more events than the limit of the page"
        );
        between(&page);
        events.extend(page.events);
        let Some(next) = page.next else { return events };
        let advances = list.after.is_none_or(|last| match list.order {
            EventOrder::NewestFirst => next < last,
            EventOrder::OldestFirst => next > last,
        });
        assert!(
            advances,
            "returned a cursor that does not advance: {next} after {:?}",
            list.after
        );
        list.after = Some(next);
    }
}

/// Returns the events of a key, the oldest first.
#[track_caller]
pub(super) fn history<H: Harness>(store: &Handle<'_, H>, key: &Key) -> Vec<Event> {
    let list = everything().with_key(key.id);
    walk(store, &key.workspace, Environment::Live, &list, |_| ())
}

/// Returns the events that a list must contain, in its order.
pub(super) fn selected(
    log: &[Event],
    tenant: &Workspace,
    environment: Environment,
    list: &ListEvents<EventId>,
) -> Vec<Event> {
    let visible = |event: &&Event| list.selects(tenant, environment, event);
    let mut events: Vec<Event> = log.iter().filter(visible).cloned().collect();
    events.sort_by_key(|event| event.id);
    if list.order == EventOrder::NewestFirst {
        events.reverse();
    }
    events
}

/// Returns the filters that the events of a log distinguish: no filter, each key and each owner.
fn filters(log: &[Event]) -> Vec<ListEvents<EventId>> {
    let keys: BTreeSet<KeyId> = log.iter().map(|event| event.key).collect();
    let owners: BTreeSet<&str> = log
        .iter()
        .filter_map(|event| event.owner.as_ref())
        .map(Owner::as_str)
        .collect();
    let by_key = keys.into_iter().map(|key| everything().with_key(key));
    let by_owner = owners
        .into_iter()
        .map(|owner| everything().with_owner(Owner::parse(owner).unwrap()));
    std::iter::once(everything())
        .chain(by_key)
        .chain(by_owner)
        .collect()
}

/// Fails unless a workspace has exactly these events, in each list and through each handle.
#[track_caller]
pub(super) fn assert_log<H: Harness>(
    handles: &[Handle<'_, H>],
    tenant: &str,
    log: &[Event],
    after: &str,
) {
    let tenant = workspace(tenant);
    for list in filters(log) {
        for store in handles {
            let expected = selected(log, &tenant, Environment::Live, &list);
            let listed = walk(store, &tenant, Environment::Live, &list, |_| ());
            assert_eq!(
                listed, expected,
                "the log contains other events after {after}, in {list:?}"
            );
        }
    }
}

/// Creates an event of this key at this time. `last` are the last characters of its id.
pub(super) fn event_at(key: &Key, kind: EventKind, time: Timestamp, last: &[u8; 5]) -> Event {
    let first = EventId::first_at(time);
    let (time, _) = first.as_bytes().split_at(8);
    let id = [time, key.id.routing_tag(), last].concat();
    Event::new(EventId::from_bytes(&id).unwrap(), kind, key, Actor::System)
}

/// Creates an event in which each field has a value.
pub(super) fn detailed(key: &Key, kind: EventKind) -> Event {
    let mut event = event(key, kind);
    event.actor = Actor::Key {
        id: unused_id(),
        owner: Some(Owner::parse("user:7").unwrap()),
    };
    event.request_id = Some("req_5bd1e0a2.c3-F4".parse().unwrap());
    event.client_ip = Some("2001:db8::7".parse().unwrap());
    event.changes = Changes {
        name: transition(
            Some(name("a \"quoted\" \\ name, ünï 🔑")),
            Some(name("later")),
        ),
        permissions: transition(
            Some("calls:*".parse().unwrap()),
            Some("calls:read,calls:write".parse().unwrap()),
        ),
        enabled: transition(Some(true), Some(false)),
        expires_at: transition(None, Some(at(1))),
        revoked_at: transition(None, Some(now())),
        allowed_ips: transition(Some("192.0.2.0/24,2001:db8::/32".parse().unwrap()), None),
        metadata: true,
        attributes: true,
    };
    event
}

/// Creates an event of the maximum size, except for its kind.
pub(super) fn largest(key: &Key, kind: EventKind) -> Event {
    let mut event = detailed(key, kind);
    let owner = Owner::parse(&"\"".repeat(Owner::MAX_LENGTH)).unwrap();
    event.actor = Actor::Key {
        id: unused_id(),
        owner: Some(owner),
    };
    event.request_id = Some("r".repeat(40).parse().unwrap());
    let names = ["🔑", "🗝"].map(|symbol| name(&symbol.repeat(255)));
    let [before, after] = names.map(Some);
    event.changes.name = transition(before, after);
    let permissions = ["a", "b"].map(|first| {
        let permissions = (0..64).map(|number| format!("{first}{number:030}:{number:032}"));
        permissions.collect::<Vec<_>>().join(",").parse().unwrap()
    });
    let [before, after] = permissions.map(Some);
    event.changes.permissions = transition(before, after);
    let networks = ["2001", "2002"].map(|first| {
        let networks = (0x1000..0x1020)
            .map(|group| format!("{first}:1db8:1111:2222:3333:4444:{group:x}:6660/127"));
        networks.collect::<Vec<_>>().join(",").parse().unwrap()
    });
    let [before, after] = networks.map(Some);
    event.changes.allowed_ips = transition(before, after);
    event
}

#[expect(clippy::unnecessary_wraps, reason = "a field of `Changes` is optional")]
const fn transition<T>(before: Option<T>, after: Option<T>) -> Option<Transition<T>> {
    Some(Transition { before, after })
}

/// Inserts a key with its event, and returns both.
#[track_caller]
pub(super) fn add<H: Harness>(store: &Handle<'_, H>, record: Record) -> (Record, Event) {
    let event = event(&record.key, EventKind::Created);
    match store.insert_with(&record, now(), Some(&event)) {
        Ok(()) => (record, event),
        Err(error) => panic!("the store rejected a new key with an event: {error:?}"),
    }
}

/// Revokes a key, and adds the event to the log with the number of keys that were revoked, if it is
/// not 0.
#[track_caller]
pub(super) fn revoke<H: Harness>(
    store: &Handle<'_, H>,
    record: &Record,
    reach: Reach,
    log: &mut Vec<Event>,
) {
    let ended = detailed(&record.key, revoked(reach));
    match store.revoke_with(record, reach, now(), Some(&ended)) {
        // Clause 6 is about the number itself.
        Ok(Revocation { count: 0, .. }) => {}
        Ok(Revocation { count, .. }) => log.push(ended.with_count(count)),
        Err(error) => panic!("the store failed to revoke a key with an event: {error:?}"),
    }
}

/// Appends an event of a key through an update that changes its name.
#[track_caller]
pub(super) fn append<H: Harness>(store: &Handle<'_, H>, key: &KeyId, event: &Event) {
    let record = store.read(key);
    let mut changed = record.key.clone();
    changed.name = name(&format!("version {}", record.version + 1));
    if let Err(error) = store.update_with(&record, &changed, Some(event)) {
        panic!("the store failed to update a key with an event: {error:?}");
    }
}

/// Purges until nothing is left to purge, and returns the number of deleted events.
#[track_caller]
pub(super) fn purge_all<H: Harness>(store: &Handle<'_, H>, purge: &PurgeEvents) -> u64 {
    let mut total = 0;
    // The limit ends the loop if the store never returns 0.
    for _ in 0..1_000 {
        match store.purge_events(purge) {
            0 => return total,
            count => {
                assert!(
                    count <= u64::from(purge.limit),
                    "a purge of {} events deleted {count}",
                    purge.limit
                );
                total += count;
            }
        }
    }
    panic!("repeated purges of events never finish");
}

/// Fails unless the events remain after a restart.
pub(super) fn log_is_durable<H: Harness>(handles: [Handle<'_, H>; 3]) {
    let [store, others @ ..] = handles;
    drop(others);
    let (key, created) = add(&store, owned(record_in("restart", "key"), "user:42"));
    let updated = detailed(&key.key, EventKind::Updated);
    append(&store, &key.key.id, &updated);
    let mut log = vec![created, updated];
    revoke(&store, &key, Reach::Descendants, &mut log);
    let store = store.reopened();
    assert_log(&[store], "restart", &log, "a restart");
}
