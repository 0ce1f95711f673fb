//! Writes the table of results to BENCHMARKS.md, from the most recent results of criterion.

mod estimates;
mod machine;
mod markdown;
mod rows;

use std::{env, error::Error, fs, process::ExitCode};

use self::{estimates::Estimates, rows::ROWS};

const USAGE: &str = "usage: table [--print]

Writes the table of results between the markers <!-- benches --> and <!-- /benches --> in the file
BENCHMARKS.md of the current directory, or prints it with --print. scripts/bench runs the benchmarks
and then this program.";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => write(),
        ["--print"] => table().map(|table| print!("{table}")),
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

fn table() -> Result<String, Box<dyn Error>> {
    let estimates = Estimates::find()?;
    let mut results = ROWS
        .iter()
        .map(|row| row.result(&estimates))
        .collect::<Result<Vec<_>, _>>()?;
    results.insert(2, rows::scaling(&estimates)?);
    results.extend(rows::cold_start(&estimates)?);
    results.extend(rows::sizes(&estimates)?);
    Ok(markdown::table(&results, &machine::describe()?))
}

/// Relative to the current directory, and not to the manifest: checkouts that share a target folder
/// share this program, so a path from compile time could be in another checkout.
const BENCHMARKS: &str = "BENCHMARKS.md";

fn write() -> Result<(), Box<dyn Error>> {
    let old = fs::read_to_string(BENCHMARKS).map_err(|error| format!("{BENCHMARKS}: {error}"))?;
    let new =
        markdown::replace(&old, &table()?).map_err(|error| format!("{BENCHMARKS}: {error}"))?;
    fs::write(BENCHMARKS, new).map_err(|error| format!("{BENCHMARKS}: {error}"))?;
    Ok(())
}
