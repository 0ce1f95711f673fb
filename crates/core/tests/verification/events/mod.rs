//! Events: which changes record which events, and who learns of them.

mod lists;
mod log_lines;
mod observer;
mod recorded;
mod retention;
mod unread;

use keywright_core::{
    Caller, Event, EventOrder, IssueError, Issuer, KeyId, ListEvents, Scheme, Workspace,
};
use pollster::block_on;

use crate::world::{World, operator};

/// Creates a world with a fast hash.
fn world() -> World {
    World::with(|config| config.with_scheme(Scheme::HmacSha256))
}

fn caller(permissions: &str) -> Caller {
    Caller::new(
        Workspace::parse("acme").unwrap(),
        permissions.parse().unwrap(),
    )
}

/// Returns all events of a list, the oldest first.
fn all(issuer: &Issuer, caller: &Caller, list: ListEvents) -> Result<Vec<Event>, IssueError> {
    let mut list = list.with_order(EventOrder::OldestFirst).with_limit(100);
    let mut events = Vec::new();
    loop {
        let page = block_on(issuer.events(caller, list.clone()))?;
        events.extend(page.events);
        match page.next {
            Some(cursor) => list = list.with_after(cursor),
            None => return Ok(events),
        }
    }
}

/// Returns all events of the workspace, the oldest first.
fn log(world: &World) -> Vec<Event> {
    all(world.keys.issuer(), &operator(), ListEvents::new()).unwrap()
}

/// Returns the events of a key, the oldest first.
fn history(world: &World, key: &KeyId) -> Vec<Event> {
    let list = ListEvents::new().with_key(*key);
    all(world.keys.issuer(), &operator(), list).unwrap()
}
