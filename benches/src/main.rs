//! Writes the table of results into the README, from what criterion measured last.

mod estimates;
mod machine;
mod markdown;
mod rows;

use std::{env, error::Error, fs, process::ExitCode};

use self::{estimates::Estimates, rows::ROWS};

const USAGE: &str = "usage: table [--print]

Writes the table of results between <!-- benches --> and <!-- /benches --> in the README.md of the
current directory, or with --print to standard output. scripts/bench runs the benches and then this.";

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
    results.extend(rows::sizes(&estimates)?);
    Ok(markdown::table(&results, &machine::describe()?))
}

/// The path is not one of compile time: checkouts that share a target folder share this program, and
/// one would write into the other.
const README: &str = "README.md";

fn write() -> Result<(), Box<dyn Error>> {
    let old = fs::read_to_string(README).map_err(|error| format!("{README}: {error}"))?;
    let new = markdown::replace(&old, &table()?).map_err(|error| format!("{README}: {error}"))?;
    fs::write(README, new).map_err(|error| format!("{README}: {error}"))?;
    Ok(())
}
