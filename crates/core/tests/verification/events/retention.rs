//! Old events are deleted in the background, and by the host.

use std::time::Duration;

use keywright_core::{
    Config, EventKind, Scheme, Timestamp, Workspace,
    store::{KeyStore as _, PurgeEvents},
};
use pollster::block_on;

use super::log;
use crate::world::{World, await_that};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Creates a world with more events than a step deletes, ten days ago, and a newer event.
fn world_with_old_events() -> World {
    let fast = |config: Config| config.with_scheme(Scheme::HmacSha256);
    let world = World::with(|config| fast(config).with_event_retention(Duration::MAX));
    let key = world.issue().key;
    for number in 0..PurgeEvents::STEP * 2 {
        world.clock.adjust(1);
        world.rename(&key.id, &format!("name {number}"));
    }
    world
        .clock
        .adjust(10 * i64::try_from(DAY.as_millis()).unwrap());
    world.revoke(&key.id);
    world
}

#[test]
fn events_that_are_older_than_the_retention_are_deleted_in_steps() {
    let world = world_with_old_events();
    assert_eq!(log(&world).len(), 2 * 500 + 2);
    let _other = world.reopened(|config| {
        config
            .with_scheme(Scheme::HmacSha256)
            .with_event_retention(5 * DAY)
    });
    await_that(|| log(&world).len() == 1);
    let kept = log(&world);
    assert!(
        matches!(kept[0].kind, EventKind::Revoked { .. }),
        "{kept:?}"
    );
    let before = world.clock.millis() - 5 * i64::try_from(DAY.as_millis()).unwrap();
    let step = PurgeEvents::new(Timestamp::from_millis(before).unwrap(), PurgeEvents::STEP);
    let purges = world.store.event_purges();
    assert!(purges.len() >= 3, "{purges:?}");
    assert!(purges.iter().all(|purge| *purge == step), "{purges:?}");
}

#[test]
fn no_events_are_deleted_with_a_retention_of_zero_or_without_an_end() {
    let world = world_with_old_events();
    for retention in [Duration::ZERO, Duration::MAX] {
        let other = world.reopened(|config| {
            config
                .with_scheme(Scheme::HmacSha256)
                .with_event_retention(retention)
        });
        // The thread for upkeep writes last uses before it deletes events, so after the second
        // write it has been there.
        for _ in 0..2 {
            let marker = other.issue();
            other.verify(&marker.token).unwrap();
            await_that(|| !world.store.touches(&marker.key.id).is_empty());
        }
        assert_eq!(world.store.event_purges(), []);
    }
}

#[test]
fn a_program_ends_although_its_store_never_deletes_events() {
    let World { store, keys, .. } = World::new();
    store.stall_event_purges();
    await_that(|| !store.event_purges().is_empty());
    drop(keys);
}

#[test]
fn the_host_deletes_events_of_one_workspace_or_of_all() {
    let world = world_with_old_events();
    let issuer = world.keys.issuer();
    let now = Timestamp::from_millis(world.clock.millis()).unwrap();
    let count = u64::from(PurgeEvents::STEP * 2 + 1);
    let other = Some(Workspace::parse("other").unwrap());
    assert_eq!(block_on(issuer.purge_events(other, now)).unwrap(), 0);
    let own = Some(Workspace::parse("acme").unwrap());
    // At the time of the newest event, which remains.
    assert_eq!(block_on(issuer.purge_events(own, now)).unwrap(), count);
    assert_eq!(log(&world).len(), 1);
    let rest = block_on(issuer.purge_events(None, Timestamp::MAX)).unwrap();
    assert_eq!((rest, log(&world).len()), (1, 0));
    assert!(!block_on(world.store.is_empty()).unwrap());
}
