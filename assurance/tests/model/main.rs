//! Random sequences of calls, each made to a reference and to the service in two processes over one store:
//! every answer must be the same, and at the end every key.
//!
//! `cargo test` tries 300 sequences for each store. `PROPTEST_CASES=10000 cargo test --release -p
//! keywright-assurance --test model` is the long run. What fails is printed with the fewest steps that were
//! found to fail, as data that can be pasted into a test; `PROPTEST_RNG_SEED` repeats a run.

mod acts;
#[expect(dead_code, reason = "a part of what other tests need")]
#[path = "../../../crates/store-redis/tests/redis/support/server.rs"]
mod server;
mod stages;
mod tally;

use std::{env, sync::atomic::Ordering};

use keywright_assurance::{
    act::Step,
    model::Model,
    system::{Memory, Stage, System},
};
use proptest::{
    prelude::{BoxedStrategy, Just, Strategy},
    test_runner::{Config, TestRunner},
};
use proptest_state_machine::ReferenceStateMachine;

use crate::{
    server::Server,
    stages::{Redis, Sqlite},
};

/// How many steps a sequence has.
const STEPS: std::ops::Range<usize> = 20..60;

#[test]
fn over_memory_every_answer_is_that_of_the_reference() {
    assert_agrees(Memory::default);
}

#[test]
fn over_sqlite_every_answer_is_that_of_the_reference() {
    assert_agrees(Sqlite::new);
}

#[test]
fn over_redis_every_answer_is_that_of_the_reference() {
    let server = Server::start();
    assert_agrees(|| Redis::on(&server));
}

/// The reference as `proptest` sees it, with the steps that led there.
struct Reference;

impl ReferenceStateMachine for Reference {
    type State = (Model, Vec<Step>);
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self::State> {
        Just((Model::new(), Vec::new())).boxed()
    }

    fn transitions((model, before): &Self::State) -> BoxedStrategy<Step> {
        acts::step(model, before)
    }

    fn apply((mut model, mut before): Self::State, step: &Step) -> Self::State {
        model.apply(step);
        before.push(step.clone());
        (model, before)
    }
}

/// Tries sequences, each over a new store.
fn assert_agrees<S: Stage>(stage: impl Fn() -> S) {
    let outcome = TestRunner::new(config()).run(
        &Reference::sequential_strategy(STEPS),
        |((mut model, _), steps, seen)| {
            let mut system = System::new(stage());
            for step in &steps {
                if let Some(seen) = &seen {
                    seen.fetch_add(1, Ordering::SeqCst);
                }
                model.apply(step);
                system.step(step, &model);
            }
            system.check_all(&model);
            Ok(())
        },
    );
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

fn config() -> Config {
    let mut config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    if env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 300;
    }
    config
}
