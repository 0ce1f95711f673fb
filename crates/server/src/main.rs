//! `keywright`: an API-key server over SQLite or Redis, and the command line for it.

mod cli;
mod files;
mod health;
mod keys;
mod logging;
mod metrics;
mod observe;
mod openapi;
mod peppers;
mod serve;
mod store;
mod unbuffered;
mod whoami;

use std::{
    io::{Write, stderr},
    process::ExitCode,
};

use crate::cli::Command;

fn main() -> ExitCode {
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    let exit_on_error = cli.command.exit_on_error();
    let done = match cli.command {
        Command::Serve(options) => serve::run(&cli.library, options).map(|()| ExitCode::SUCCESS),
        Command::Keys(command) => keys::run(&cli.library, command),
    };
    match done {
        Ok(exit) => exit,
        Err(error) => {
            // One line with all its causes, and never a backtrace.
            let told = cli::redacted(&format!("{error:#}"));
            let _ = writeln!(stderr(), "error: {told}");
            exit_on_error
        }
    }
}
