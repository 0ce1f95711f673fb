//! Running models: how many schedules, and what becomes of a violation.

use std::{cell::Cell, env};

use shuttle::{
    Config, FailurePersistence, Runner,
    scheduler::{PctScheduler, RandomScheduler, Scheduler},
};

use crate::{
    Environment, Key, KeyId, Name, Permissions, Workspace,
    fault::{self, Fault},
    meter,
    store::Row,
    time,
    verifier::{Fingerprint, TokenMac, from_memory},
};

/// Schedules of each scenario unless `KEYWRIGHT_SCHEDULES` says otherwise.
const SCHEDULES: usize = 400;

/// Within how many times as many a planted fault must be seen.
const PATIENCE: u64 = 100;

/// Most switches in a schedule that are no accident.
const DEPTH: usize = 4;

/// Without `KEYWRIGHT_SCHEDULES`, each run tries the same schedules.
const SEED: u64 = 0x6b65_7977;

thread_local! {
    static SCHEDULE: Cell<usize> = const { Cell::new(0) };
    static VIOLATIONS: Cell<usize> = const { Cell::new(0) };
    static VIOLATED: Cell<bool> = const { Cell::new(false) };
}

/// Something was accepted that should not have been. Shuttle prints the schedule and ends, unless it
/// is a planted fault that has shown.
pub(crate) fn violated(what: &str) {
    assert!(fault::planted().is_some(), "{what}");
    VIOLATED.set(true);
}

/// Counts the schedule that has ended, if it was violated.
fn count() {
    if VIOLATED.replace(false) {
        VIOLATIONS.set(VIOLATIONS.get() + 1);
    }
}

fn run(scheduler: impl Scheduler + 'static, scenario: fn()) {
    let mut config = Config::new();
    // That shuttle knows no memory orders is known.
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

/// Half at random, half with few switches: some faults hide from either.
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

/// How many schedules were asked for.
fn asked_for() -> Option<usize> {
    let asked = env::var("KEYWRIGHT_SCHEDULES").ok()?;
    Some(asked.parse().unwrap())
}

/// Asserts that nothing goes wrong in a scenario, in which memory decides now and then.
pub(crate) fn holds(scenario: fn()) {
    match asked_for() {
        Some(schedules) => run_both(schedules, None, scenario),
        None => run_both(SCHEDULES, Some(SEED), scenario),
    }
    let (schedules, hits) = (SCHEDULE.get(), from_memory());
    println!("{schedules} schedules, no violation, {hits} decided in memory");
    assert!(hits > 0, "nothing was decided in memory");
}

/// Asserts that a fault shows in a scenario: soon, or in as many schedules as were asked for.
pub(crate) fn bites(planted: Fault, scenario: fn()) {
    SCHEDULE.set(0);
    VIOLATIONS.set(0);
    fault::plant(Some(planted));
    match asked_for() {
        Some(schedules) => run_both(schedules, None, scenario),
        None => {
            let mut seeds = SEED..SEED + PATIENCE;
            while VIOLATIONS.get() == 0
                && let Some(seed) = seeds.next()
            {
                run_both(SCHEDULES, Some(seed), scenario);
            }
        }
    }
    fault::plant(None);
    let (schedules, violations) = (SCHEDULE.get(), VIOLATIONS.get());
    println!("{planted:?}: {violations} of {schedules} schedules violated");
    assert!(violations > 0, "{planted:?} was not seen");
}

/// The id of a key of that number.
pub(crate) fn id(number: u32) -> KeyId {
    KeyId::parse(&format!("key_0U5lKtf6000000{number:02}")).unwrap()
}

/// The token that opens a key.
pub(crate) fn token(id: &KeyId) -> TokenMac {
    let [.., a, b] = *id.as_bytes();
    TokenMac(u64::from(a) * 256 + u64::from(b))
}

/// The record of a new key.
pub(crate) fn row(id: KeyId) -> Row {
    Row {
        key: Key::new(
            id,
            Workspace::parse("default").unwrap(),
            Environment::Live,
            Name::parse("before").unwrap(),
            Permissions::all(),
        ),
        token: token(&id),
        hash: Fingerprint(1),
        version: 1,
    }
}
