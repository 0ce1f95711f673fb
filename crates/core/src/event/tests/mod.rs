//! Tests of events.

mod json;
mod position;
mod size;

use crate::{Actor, Environment, Event, EventId, EventKind, Key, KeyId, Timestamp, base62};

/// Returns a key of the workspace `acme`.
fn key() -> Key {
    Key::new(
        KeyId::parse("key_0Vbwpf20t8iKd93a").unwrap(),
        "acme".parse().unwrap(),
        Environment::Live,
        "CI".parse().unwrap(),
        "calls:read".parse().unwrap(),
    )
}

fn time(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).unwrap()
}

/// Returns the id of an event at this time, which differs for each number.
fn id(millis: i64, number: u64) -> EventId {
    let first = EventId::first_at(time(millis));
    let (time, _) = first.as_bytes().split_at(8);
    let last: [u8; 5] = base62::encode(number);
    EventId::from_bytes(&[time, b"t8i", &last].concat()).unwrap()
}

fn event(millis: i64, number: u64) -> Event {
    Event::new(
        id(millis, number),
        EventKind::Updated,
        &key(),
        Actor::Operator,
    )
}
