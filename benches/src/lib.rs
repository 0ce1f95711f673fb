//! Measures subjects and their references in turn.

#![expect(clippy::expect_used, reason = "a benchmark that cannot run must stop")]

pub mod load;
mod processor_time;
pub mod tasks;

use std::{env, fs, path::PathBuf, time::Duration};

use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, measurement::WallTime};

pub use self::processor_time::processor_time;

/// The number of turns of each subject.
///
/// The speed of a machine drifts over minutes. So a ratio compares results of the same turn, and
/// the table shows the median over the turns, of which there is an odd number.
pub const TURNS: usize = 5;

/// One side of a comparison: its name, and a function that measures it under the given id. The
/// function is called once per turn, so it can start each turn with new data.
pub type Subject<'a> = (
    &'static str,
    &'a mut dyn FnMut(&mut BenchmarkGroup<'_, WallTime>, BenchmarkId),
);

/// Measures all subjects one after another, [`TURNS`] times. The results are named
/// `row/subject/turn`.
pub fn compare_in_turn(criterion: &mut Criterion, row: &str, subjects: &mut [Subject<'_>]) {
    let mut group = criterion.benchmark_group(row);
    group
        .sampling_mode(SamplingMode::Flat)
        .sample_size(20)
        .nresamples(10_000)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    // One turn checks that the benchmark works.
    let turns = if runs_once() { 1 } else { TURNS };
    for turn in 1..=turns {
        for (subject, bench) in &mut *subjects {
            bench(&mut group, BenchmarkId::new(*subject, turn));
        }
    }
    group.finish();
}

/// Runs a benchmark as a program with criterion's options.
pub fn run(bench: impl FnOnce(&mut Criterion)) {
    let mut criterion = Criterion::default().configure_from_args();
    bench(&mut criterion);
    criterion.final_summary();
}

/// Whether every subject only runs once, to check that it works, without a measurement. Criterion
/// does this with `--test`, or if `cargo bench` did not start it. A benchmark then needs less data.
#[must_use]
pub fn runs_once() -> bool {
    let has = |option: &str| env::args().any(|argument| argument == option);
    has("--test") || !has("--bench")
}

/// The file for the memory of a cached key, in criterion's folder.
pub const BYTES_PER_KEY: &str = "memory/bytes-a-key";

/// The file for the memory of a cached key without what the allocator adds, in criterion's folder.
pub const ALLOCATED_PER_KEY: &str = "memory/allocated-a-key";

/// The file for the memory of a cached key with an owner, attributes and allowed addresses, in
/// criterion's folder.
pub const BYTES_PER_KEY_WITH_OPTIONAL_FIELDS: &str = "memory/bytes-a-key-with-optional-fields";

/// The file for the size of a key in a SQLite file, in criterion's folder.
pub const BYTES_PER_ROW: &str = "scale/bytes-a-key";

/// The file for the size of a key in PostgreSQL, in criterion's folder.
pub const POSTGRES_BYTES_PER_KEY: &str = "scale-postgres/bytes-a-key";

/// The file for the size of an event in PostgreSQL, in criterion's folder.
pub const POSTGRES_BYTES_PER_EVENT: &str = "scale-postgres/bytes-an-event";

/// The file for the share of a core that an idle feed takes in a process, in criterion's folder.
pub const IDLE_CLIENT: &str = "feed/idle-client";

/// The file for the share of a core that an idle feed takes in the server, in criterion's folder.
pub const IDLE_SERVER: &str = "feed/idle-server";

/// The start of the names of the files for the time until other processes reject a revoked key, in
/// criterion's folder. The name of the store follows.
pub const PROPAGATION: &str = "propagation/";

/// The start of the names of the files for the times of a cold start, in criterion's folder: of
/// each key (`keys`), of its Argon2 run alone (`argon2`), and of a request with a cached key
/// `before` and `during` the start, with the percentile after a hyphen. With verification by tag,
/// `by-tag-` precedes all but `argon2`.
pub const COLD_START: &str = "cold-start/";

/// Stores a number in a file of criterion's folder, except in a run that only checks that the
/// benchmark works.
///
/// # Panics
///
/// If the file cannot be written.
pub fn store_number(file: &str, number: f64) {
    if runs_once() {
        return;
    }
    let file = results().expect("the folder of the results").join(file);
    let folder = file.parent().expect("a file in a folder");
    fs::create_dir_all(folder).expect("the folder is writable");
    fs::write(file, number.to_string()).expect("the file is writable");
}

/// Returns the folder of criterion's results. It is in the target folder that contains this
/// program.
///
/// # Errors
///
/// If this program is not in a target folder.
pub fn results() -> Result<PathBuf, String> {
    if let Some(home) = env::var_os("CRITERION_HOME") {
        return Ok(home.into());
    }
    let program = env::current_exe().map_err(|error| error.to_string())?;
    program
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").exists())
        .map(|target| target.join("criterion"))
        .ok_or_else(|| {
            format!(
                "{} is not in a target folder; set CRITERION_HOME to the folder of the results",
                program.display()
            )
        })
}
