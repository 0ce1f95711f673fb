//! The size of the largest event.

use std::net::Ipv6Addr;

use super::key;
use crate::{
    Actor, AllowedIps, Changes, Event, EventId, EventKind, Name, Owner, Permissions, RequestId,
    Timestamp, Transition, Workspace,
};

fn changed<T>([before, after]: [T; 2]) -> Option<Transition<T>> {
    Some(Transition {
        before: Some(before),
        after: Some(after),
    })
}

/// Returns the event with the longest JSON.
fn largest() -> Event {
    let mut key = key();
    key.workspace = Workspace::parse(&"w".repeat(Workspace::MAX_LENGTH)).unwrap();
    // A quotation mark is two characters in JSON.
    let owner = Owner::parse(&"\"".repeat(Owner::MAX_LENGTH)).unwrap();
    key.owner = Some(owner.clone());
    let kind = EventKind::Revoked {
        cascade: false,
        count: Some(u64::MAX),
    };
    let actor = Actor::Key {
        id: key.id,
        owner: Some(owner),
    };
    let id = EventId::first_at(Timestamp::MAX);
    let mut event = Event::new(id, kind, &key, actor);
    event.request_id = Some(RequestId::parse(&"r".repeat(RequestId::MAX_LENGTH)).unwrap());
    event.client_ip = Some(Ipv6Addr::from([0x1111; 8]).into());
    event.changes = Changes {
        // A symbol of four bytes. A control character would be longer in JSON, but is not allowed.
        name: changed(
            ["🔑", "🎫"].map(|symbol| Name::parse(&symbol.repeat(Name::MAX_LENGTH)).unwrap()),
        ),
        permissions: changed(["a", "b"].map(|first| {
            let permissions = (0..Permissions::MAX_COUNT)
                .map(|number| format!("{first}{number:031}:{number:031}"));
            permissions.collect::<Vec<_>>().join(",").parse().unwrap()
        })),
        enabled: changed([false, false]),
        expires_at: changed([Timestamp::MAX; 2]),
        revoked_at: changed([Timestamp::MAX; 2]),
        allowed_ips: changed(["1111", "2222"].map(|group| {
            let networks = (0..AllowedIps::MAX_COUNT).map(|number| {
                let middle = format!("{group}:").repeat(6);
                format!("{middle}{:x}:1110/126", 0x1000 + number)
            });
            networks.collect::<Vec<_>>().join(",").parse().unwrap()
        })),
        metadata: true,
        attributes: true,
    };
    event
}

#[test]
fn the_largest_event_is_as_long_as_its_docs_say() {
    let event = largest();
    let json = serde_json::to_string(&event).unwrap();
    assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
    assert_eq!(json.len(), 14_799);
}
