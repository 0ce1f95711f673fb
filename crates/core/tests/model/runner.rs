//! Runs scenarios under many schedules.

use std::{cell::Cell, env};

use shuttle::{
    Config, FailurePersistence, Runner,
    scheduler::{PctScheduler, RandomScheduler, Scheduler},
};

use crate::{
    fault::{self, Fault},
    meter, time,
    verifier::hits,
};

/// The number of schedules for each scenario without `KEYWRIGHT_SCHEDULES`.
const SCHEDULES: usize = 400;

/// A planted fault must be detected within this many times [`SCHEDULES`].
const PATIENCE: u64 = 100;

/// The maximum number of deliberate thread switches in a schedule of [`PctScheduler`].
const DEPTH: usize = 4;

/// The seed without `KEYWRIGHT_SCHEDULES`, so that each run tries the same schedules.
const SEED: u64 = 0x6b65_7977;

thread_local! {
    static SCHEDULE: Cell<usize> = const { Cell::new(0) };
    static VIOLATIONS: Cell<usize> = const { Cell::new(0) };
    static VIOLATED: Cell<bool> = const { Cell::new(false) };
}

/// Reports that the property is violated. Without a planted fault this panics, and shuttle prints
/// the schedule.
pub(crate) fn violated(what: &str) {
    assert!(fault::planted().is_some(), "{what}");
    VIOLATED.set(true);
}

/// Counts the schedule that has ended if it violated the property.
fn count() {
    if VIOLATED.replace(false) {
        VIOLATIONS.set(VIOLATIONS.get() + 1);
    }
}

fn run(scheduler: impl Scheduler + 'static, scenario: fn()) {
    let mut config = Config::new();
    // Shuttle warns that it treats all memory orders as `SeqCst`. The test `orders` covers them.
    config.silence_warnings = true;
    config.stack_size = 0x2_0000;
    config.failure_persistence = FailurePersistence::Print;
    Runner::new(scheduler, config).run(move || {
        time::reset();
        meter::reset();
        count();
        SCHEDULE.set(SCHEDULE.get() + 1);
        scenario();
    });
    count();
}

/// Runs half of the schedules at random and half with few thread switches. Each half detects faults
/// that the other does not.
fn run_both(schedules: usize, seed: Option<u64>, scenario: fn()) {
    let half = schedules / 2;
    match seed {
        Some(seed) => {
            run(RandomScheduler::new_from_seed(seed, half), scenario);
            run(PctScheduler::new_from_seed(seed, DEPTH, half), scenario);
        }
        None => {
            run(RandomScheduler::new(half), scenario);
            run(PctScheduler::new(DEPTH, half), scenario);
        }
    }
}

/// Returns the value of `KEYWRIGHT_SCHEDULES`.
fn requested_schedules() -> Option<usize> {
    let schedules = env::var("KEYWRIGHT_SCHEDULES").ok()?;
    Some(schedules.parse().unwrap())
}

/// Asserts that a scenario never violates the property, and that the cache decides some of its
/// verifications.
pub(crate) fn holds(scenario: fn()) {
    match requested_schedules() {
        Some(schedules) => run_both(schedules, None, scenario),
        None => run_both(SCHEDULES, Some(SEED), scenario),
    }
    let (schedules, hits) = (SCHEDULE.get(), hits());
    println!("{schedules} schedules, no violation, {hits} decided in memory");
    assert!(hits > 0, "nothing was decided in memory");
}

/// Asserts that a scenario violates the property with a planted fault. Runs as many schedules as
/// requested, and more if none of them violates it.
pub(crate) fn bites(planted: Fault, scenario: fn()) {
    SCHEDULE.set(0);
    VIOLATIONS.set(0);
    fault::plant(Some(planted));
    if let Some(schedules) = requested_schedules() {
        run_both(schedules, None, scenario);
    }
    let mut seeds = SEED..SEED + PATIENCE;
    while VIOLATIONS.get() == 0
        && let Some(seed) = seeds.next()
    {
        run_both(SCHEDULES, Some(seed), scenario);
    }
    fault::plant(None);
    let (schedules, violations) = (SCHEDULE.get(), VIOLATIONS.get());
    println!("{planted:?}: {violations} of {schedules} schedules violated");
    assert!(violations > 0, "{planted:?} was not detected");
}
