//! Clause 17: each change appends its event in the same atomic step.

mod append;
mod damage;
mod dropped;
mod invalidation;
mod listing;
mod log;
mod no_log;
mod purge;
mod races;
mod same_step;

use super::{handle::Handle, harness::Harness};

/// Tests clause 17, events. Benchmarks measure the cost of a page.
pub fn events(harness: &impl Harness) {
    let handles = Handle::open_three(harness);
    let [store, ..] = &handles;
    let keeps_events = store.store().keeps_events();
    for handle in &handles {
        assert_eq!(
            handle.store().keeps_events(),
            keeps_events,
            "two handles disagree about whether the store has an event log"
        );
    }
    if !keeps_events {
        no_log::no_log(store);
        return;
    }
    append::append(&handles);
    dropped::dropped(&handles);
    same_step::same_step(&handles);
    races::races(&handles);
    listing::listing(&handles);
    purge::purge(&handles);
    invalidation::events_invalidate_nothing(store);
    damage::damage(harness, store);
    log::log_is_durable(handles);
}
