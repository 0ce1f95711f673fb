//! What criterion measured, and what lies beside it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use keywright_benches::{TURNS, results};
use serde::{Deserialize, de::DeserializeOwned};

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
    pub(crate) fn find() -> Result<Self, String> {
        results().map(Self)
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
            let File { mean: measured } = read(&file)?;
            *mean = measured.point_estimate;
        }
        Ok(means)
    }

    /// The number that a bench has left in a file of its own.
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
