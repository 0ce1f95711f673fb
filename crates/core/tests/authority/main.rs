//! Whatever callers ask for, in whatever order: nobody receives more than they have.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod acts;
mod permissions;
mod tally;
mod world;

use proptest::test_runner::{Config, TestRunner};

use crate::{acts::acts, tally::Tally, world::World};

#[test]
fn who_receives_a_secret_covers_it_and_no_key_outlives_the_end_of_its_maker() {
    let tally = Tally::default();
    let config = Config {
        cases: 256,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&acts(1..60), |acts| {
        let world = World::new(&tally);
        for act in &acts {
            world.step(act);
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    tally.assert_each_was_done_and_refused();
}
