//! Runs random sequences of actions against the reference model and against the library, in two
//! processes over one store. Every outcome must be the same, and so must every key at the end.
//!
//! `cargo test` runs the same 150 sequences over each store every time, 40 over PostgreSQL. The
//! long run draws new sequences: `PROPTEST_CASES=10000 cargo test --release -p keywright-assurance
//! --test model`. A failure prints the shortest sequence that was found to fail, as data to paste
//! into a test, and `PROPTEST_RNG_SEED` repeats a run.

mod backends;
#[expect(dead_code, reason = "other tests use the rest")]
#[path = "../../../crates/store-postgres/tests/postgres/cluster.rs"]
mod cluster;
mod coverage;
#[expect(dead_code, reason = "other tests use the rest")]
#[path = "../../../crates/store-redis/tests/redis/support/server.rs"]
mod server;
mod strategies;

use std::{env, sync::atomic::Ordering, thread};

use keywright_assurance::{
    action::Step,
    model::Model,
    system::{Backend, MemoryBackend, System},
};
use proptest::{
    prelude::{BoxedStrategy, Just, Strategy},
    test_runner::{Config, RngSeed, TestRunner},
};
use proptest_state_machine::ReferenceStateMachine;

use crate::{
    backends::{PostgresBackend, PostgresServer, RedisBackend, SqliteBackend},
    server::Server,
};

/// The number of sequences over a store.
const CASES: u32 = 150;

/// The number of steps in a sequence.
const STEPS: std::ops::Range<usize> = 25..80;

#[test]
fn the_memory_store_agrees_with_the_model() {
    assert_agrees(config(CASES, 1), MemoryBackend::default);
}

#[test]
fn the_sqlite_store_agrees_with_the_model() {
    assert_agrees(config(CASES, 1), SqliteBackend::new);
}

#[test]
fn the_redis_store_agrees_with_the_model() {
    let server = Server::start();
    assert_agrees(config(CASES, 1), || RedisBackend::on(&server));
}

#[test]
fn the_postgres_store_agrees_with_the_model() {
    // A process mostly waits for the next poll of its feed, so sequences run next to each other.
    const THREADS: u32 = 4;
    let server = PostgresServer::start();
    thread::scope(|scope| {
        for number in 0..THREADS {
            let server = &server;
            scope.spawn(move || {
                let mut config = config(40, 1 + u64::from(number));
                config.cases = config.cases.div_ceil(THREADS);
                assert_agrees(config, || PostgresBackend::on(server));
            });
        }
    });
}

/// The model as a state machine of `proptest`, with the steps taken so far.
struct Reference;

impl ReferenceStateMachine for Reference {
    type State = (Model, Vec<Step>);
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self::State> {
        Just((Model::new(), Vec::new())).boxed()
    }

    fn transitions((model, before): &Self::State) -> BoxedStrategy<Step> {
        strategies::step(model, before)
    }

    fn apply((mut model, mut before): Self::State, step: &Step) -> Self::State {
        model.apply(step);
        before.push(step.clone());
        (model, before)
    }
}

/// Runs sequences, each over a new store, and compares every outcome.
fn assert_agrees<S: Backend>(config: Config, backend: impl Fn() -> S) {
    let outcome = TestRunner::new(config).run(
        &Reference::sequential_strategy(STEPS),
        |((mut model, _), steps, seen)| {
            let mut system = System::new(backend());
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

/// Returns the number of sequences and the seed, unless the environment says otherwise.
fn config(cases: u32, seed: u64) -> Config {
    let mut config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    if env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
        if env::var_os("PROPTEST_RNG_SEED").is_none() {
            config.rng_seed = RngSeed::Fixed(seed);
        }
    }
    config
}
