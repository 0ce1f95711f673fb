//! The strategies that list and delete events.

use keywright_assurance::{
    action::{Action, Actor},
    vocabulary::{DAY, HOUR, OWNERS, WORKSPACES},
};
use keywright_core::EventOrder;
use proptest::{
    option,
    prelude::{Just, Strategy, any, prop_oneof},
    sample::select,
};

use super::{Slots, one_of};

pub(super) fn events(slots: &Slots) -> impl Strategy<Value = Action> + use<> {
    let key = option::weighted(0.3, slots.key());
    let owner = option::weighted(0.3, select(&OWNERS[..]));
    let order = select(&[EventOrder::NewestFirst, EventOrder::OldestFirst][..]);
    let limit = prop_oneof![1..4_u32, Just(100)];
    let cursor = option::weighted(0.6, any::<usize>());
    (slots.actor(), key, owner, order, limit, cursor).prop_map(
        |(by, key, owner, order, limit, cursor)| Action::Events {
            by,
            key,
            owner,
            order,
            limit,
            cursor,
        },
    )
}

/// Lists the events of a key whose record was deleted, or of any key if there is none.
pub(super) fn events_of_a_deleted_key(slots: &Slots) -> impl Strategy<Value = Action> + use<> {
    one_of(&slots.deleted).prop_map(|key| Action::Events {
        by: Actor::Host(0),
        key: Some(key),
        owner: None,
        order: EventOrder::NewestFirst,
        limit: 100,
        cursor: None,
    })
}

pub(super) fn purge_events() -> impl Strategy<Value = Action> {
    let workspace = option::of(select(&WORKSPACES[..]));
    let age = select(&[0, HOUR, DAY][..]);
    (workspace, age).prop_map(|(workspace, age)| Action::PurgeEvents { workspace, age })
}
