//! Reads the results of criterion, and the results that other benchmarks store next to them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use keywright_benches::{TURNS, results};
use serde::{Deserialize, de::DeserializeOwned};

/// The folder of criterion's results.
pub(crate) struct Estimates(PathBuf);

/// The part of `estimates.json` that the table uses.
#[derive(Deserialize)]
struct File {
    mean: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
}

impl Estimates {
    pub(crate) fn find() -> Result<Self, String> {
        results().map(Self)
    }

    /// Returns the mean time of one iteration in each turn, in nanoseconds. Unlike the median, the
    /// mean includes rare and slow events, such as the checkpoints of a database.
    pub(crate) fn means(&self, bench: &str) -> Result<[f64; TURNS], String> {
        let mut means = [0.0; TURNS];
        for (turn, mean) in (1..).zip(&mut means) {
            let file = self
                .0
                .join(bench)
                .join(format!("{turn}/new/estimates.json"));
            let File { mean: measured } = read(&file)?;
            *mean = measured.point_estimate;
        }
        Ok(means)
    }

    /// Returns the number that a benchmark stored in this file.
    pub(crate) fn number(&self, file: &str) -> Result<f64, String> {
        read(&self.0.join(file))
    }
}

fn read<T: DeserializeOwned>(file: &Path) -> Result<T, String> {
    let name = file.display();
    let text = fs::read_to_string(file)
        .map_err(|error| format!("{name}: {error}; run scripts/bench to measure it"))?;
    serde_json::from_str(&text).map_err(|error| format!("{name}: {error}"))
}
