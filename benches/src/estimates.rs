//! What criterion measured.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use keywright_benches::TURNS;
use serde::Deserialize;

/// The folder in which criterion leaves its results.
pub(crate) struct Estimates(PathBuf);

/// The part of `estimates.json` that the table is made of.
#[derive(Deserialize)]
struct File {
    mean: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
}

impl Estimates {
    /// Finds the folder as the benches do, but for those who gave cargo another target folder: this
    /// program lies in the same one.
    pub(crate) fn find() -> Result<Self, String> {
        if let Some(home) = env::var_os("CRITERION_HOME") {
            return Ok(Self(home.into()));
        }
        let program = env::current_exe().map_err(|error| error.to_string())?;
        // target/release/table
        let target = program.ancestors().nth(2);
        target
            .map(|target| Self(target.join("criterion")))
            .ok_or_else(|| format!("{} is in no target folder", program.display()))
    }

    /// The mean time of one run in each turn, in nanoseconds. It is the mean because that holds
    /// what comes seldom and takes long, like the checkpoints of a database.
    pub(crate) fn means(&self, bench: &str) -> Result<[f64; TURNS], String> {
        let mut means = [0.0; TURNS];
        for (turn, mean) in (1..).zip(&mut means) {
            let file = self
                .0
                .join(bench)
                .join(format!("{turn}/new/estimates.json"));
            *mean = read(&file)?.mean.point_estimate;
        }
        Ok(means)
    }
}

fn read(file: &Path) -> Result<File, String> {
    let name = file.display();
    let text = fs::read_to_string(file)
        .map_err(|error| format!("{name}: {error}; run scripts/bench to measure it"))?;
    serde_json::from_str(&text).map_err(|error| format!("{name}: {error}"))
}
