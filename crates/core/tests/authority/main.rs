//! Random sequences of requests: no caller receives a key with more authority than the caller has.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod actions;
mod permissions;
mod tally;
mod world;

use proptest::test_runner::{Config, TestRunner};

use crate::{actions::actions, tally::Tally, world::World};

#[test]
fn no_caller_receives_a_key_that_exceeds_its_permissions_or_outlives_it() {
    let tally = Tally::default();
    let config = Config {
        cases: 256,
        failure_persistence: None,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&actions(1..60), |actions| {
        let world = World::new(&tally);
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
