//! Writes the tables of results to BENCHMARKS.md and SCALING.md, from the most recent results of
//! criterion.

mod constants;
mod estimates;
mod machine;
mod markdown;
mod rows;

use std::{env, error::Error, fs, process::ExitCode};

use self::{
    estimates::Estimates,
    rows::{ROWS, RowResult},
};

const USAGE: &str = "usage: table [--whole-machine] [--print]

Writes the table of results between the markers <!-- benches --> and <!-- /benches --> in the file
BENCHMARKS.md of the current directory, or prints it with --print. With --whole-machine, writes the
rows of the whole machine between the markers <!-- whole-machine --> and <!-- /whole-machine -->,
and the constants of SCALING.md between <!-- constants --> and <!-- /constants --> in that file.
A result that is missing is shown as not measured. If a constant is missing, SCALING.md is not
changed. scripts/bench runs the benchmarks and then this program.";

/// The table to write.
#[derive(Clone, Copy)]
enum Part {
    Benches,
    WholeMachine,
}

impl Part {
    /// Returns the name of the markers in BENCHMARKS.md.
    const fn marker(self) -> &'static str {
        match self {
            Self::Benches => "benches",
            Self::WholeMachine => "whole-machine",
        }
    }

    fn contains(self, row: &RowResult) -> bool {
        matches!(self, Self::WholeMachine) == row.is_of_whole_machine()
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => write(Part::Benches),
        ["--print"] => print(Part::Benches),
        ["--whole-machine"] => write(Part::WholeMachine),
        ["--whole-machine", "--print"] => print(Part::WholeMachine),
        ["--help"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => Err(USAGE.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn table(part: Part, estimates: &Estimates) -> Result<String, Box<dyn Error>> {
    let mut results = ROWS
        .iter()
        .map(|row| row.result(estimates))
        .collect::<Result<Vec<_>, _>>()?;
    results.insert(2, rows::scaling(estimates)?);
    results.extend(rows::cold_start(estimates)?);
    results.extend(rows::sizes(estimates)?);
    results.retain(|row| part.contains(row));
    Ok(markdown::table(&results, &machine::describe()?))
}

/// Returns the constants of SCALING.md, if this part measures them and none is missing.
fn constants(part: Part, estimates: &Estimates) -> Result<Option<String>, String> {
    match part {
        Part::Benches => Ok(None),
        Part::WholeMachine => constants::table(estimates),
    }
}

fn print(part: Part) -> Result<(), Box<dyn Error>> {
    let estimates = Estimates::find()?;
    print!("{}", table(part, &estimates)?);
    if let Some(constants) = constants(part, &estimates)? {
        print!("\n{constants}");
    }
    Ok(())
}

// Relative to the current directory, and not to the manifest: checkouts that share a target folder
// share this program, so a path from compile time could be in another checkout.
const BENCHMARKS: &str = "BENCHMARKS.md";
const SCALING: &str = "SCALING.md";

fn write(part: Part) -> Result<(), Box<dyn Error>> {
    let estimates = Estimates::find()?;
    replace(BENCHMARKS, part.marker(), &table(part, &estimates)?)?;
    if let Some(constants) = constants(part, &estimates)? {
        replace(SCALING, "constants", &constants)?;
    }
    Ok(())
}

/// Replaces the text between the markers of this name in a file.
fn replace(file: &str, marker: &str, text: &str) -> Result<(), Box<dyn Error>> {
    let old = fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let new = markdown::replace(&old, marker, text).map_err(|error| format!("{file}: {error}"))?;
    fs::write(file, new).map_err(|error| format!("{file}: {error}"))?;
    Ok(())
}
