//! How the benches measure: ours and its reference take turns.

use std::{env, path::PathBuf, time::Duration};

use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, measurement::WallTime};

/// How often each subject has its turn. Machines drift over minutes, so a ratio is taken within a
/// turn, and the table shows the median over the turns, of which there is an odd number.
pub const TURNS: usize = 5;

/// One side of a comparison: its name, and what benches it as the given benchmark. It is called
/// once a turn, and so can begin each turn with new data.
pub type Subject<'a> = (
    &'static str,
    &'a mut dyn FnMut(&mut BenchmarkGroup<'_, WallTime>, BenchmarkId),
);

/// Benches all subjects, then all of them again, as often as there are [`TURNS`]. The results are
/// called `row/subject/turn`.
pub fn in_turn(criterion: &mut Criterion, row: &str, subjects: &mut [Subject<'_>]) {
    let mut group = criterion.benchmark_group(row);
    group
        .sampling_mode(SamplingMode::Flat)
        .sample_size(20)
        .nresamples(10_000)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    for turn in 1..=TURNS {
        for (subject, bench) in &mut *subjects {
            bench(&mut group, BenchmarkId::new(*subject, turn));
        }
    }
    group.finish();
}

/// Runs a bench as a program, with criterion's options.
pub fn run(bench: impl FnOnce(&mut Criterion)) {
    let mut criterion = Criterion::default().configure_from_args();
    bench(&mut criterion);
    criterion.final_summary();
}

/// Whether every subject is run once, to see that it runs, and nothing is measured: criterion does so
/// unless it was started by `cargo bench`, and with `--test`. A bench then needs less data.
#[must_use]
pub fn runs_once() -> bool {
    let has = |option: &str| env::args().any(|argument| argument == option);
    has("--test") || !has("--bench")
}

/// The file among criterion's results that holds what a key takes in the cache.
pub const BYTES_A_KEY: &str = "memory/bytes-a-key";

/// The file among criterion's results that holds what a key takes in a file of SQLite.
pub const BYTES_A_ROW: &str = "scale/bytes-a-key";

/// The folder in which criterion leaves its results, but for those who gave cargo another target
/// folder in its configuration: this program lies in the same one.
///
/// # Errors
///
/// If this program lies in no target folder.
pub fn results() -> Result<PathBuf, String> {
    if let Some(home) = env::var_os("CRITERION_HOME") {
        return Ok(home.into());
    }
    let program = env::current_exe().map_err(|error| error.to_string())?;
    program
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").exists())
        .map(|target| target.join("criterion"))
        .ok_or_else(|| format!("{} is in no target folder", program.display()))
}
