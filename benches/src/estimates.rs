//! Reads the results of criterion, and the results that other benchmarks store next to them.

use std::{
    fs,
    io::ErrorKind,
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

    /// Returns the mean time of one iteration in each turn, in nanoseconds, or NaN if it was not
    /// measured. Unlike the median, the mean includes rare and slow events, such as the checkpoints
    /// of a database.
    pub(crate) fn means(&self, bench: &str) -> Result<[f64; TURNS], String> {
        let mut means = [0.0; TURNS];
        for (turn, mean) in (1..).zip(&mut means) {
            let file = self
                .0
                .join(bench)
                .join(format!("{turn}/new/estimates.json"));
            let measured: Option<File> = read(&file)?;
            *mean = measured.map_or(f64::NAN, |file| file.mean.point_estimate);
        }
        Ok(means)
    }

    /// Returns the number that a benchmark stored in this file, or NaN if it was not measured.
    pub(crate) fn number(&self, file: &str) -> Result<f64, String> {
        Ok(read(&self.0.join(file))?.unwrap_or(f64::NAN))
    }
}

/// Reads a result, if it was measured.
fn read<T: DeserializeOwned>(file: &Path) -> Result<Option<T>, String> {
    let name = file.display();
    match fs::read_to_string(file) {
        Ok(text) => serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| format!("{name}: {error}")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{name}: {error}")),
    }
}
