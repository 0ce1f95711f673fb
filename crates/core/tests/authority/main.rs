//! Authority: no caller reaches a key that it may not reach, and none receives a key with more
//! authority than the caller has. A matrix tries each operation with each kind of caller on each
//! kind of key. Random sequences of requests combine the operations.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test"
)]

mod actions;
mod addresses;
mod events;
mod matrix;
mod oracle;
mod permissions;
mod requests;
mod tally;
mod world;

use std::time::Duration;

use proptest::{
    option,
    strategy::Just,
    test_runner::{Config, RngSeed, TestRunner},
};

use crate::{actions::actions, tally::Tally, world::World};

#[test]
fn no_caller_receives_a_key_that_exceeds_its_permissions_or_outlives_it() {
    let tally = Tally::default();
    let config = Config {
        cases: 256,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..Config::default()
    };
    let max_lifetime = option::weighted(0.3, Just(Duration::from_secs(8)));
    let sequence = (max_lifetime, actions(1..60));
    let result = TestRunner::new(config).run(&sequence, |(max_lifetime, actions)| {
        let world = World::new(&tally, max_lifetime);
        for action in &actions {
            world.step(action);
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    tally.assert_each_action_succeeded_and_failed();
}
