//! `keywright`: an API-key server over one SQLite file, and the command line for it.

mod cli;
mod health;
mod keys;
mod logging;
mod observe;
mod openapi;
mod peppers;
mod serve;
mod store;
mod whoami;

use std::{
    io::{Write, stderr},
    process::ExitCode,
};

use crate::cli::{Command, KeysCommand};

fn main() -> ExitCode {
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    let done = match cli.command {
        Command::Serve(options) => serve::run(&cli.library, options),
        Command::Keys(KeysCommand::Create(options)) => keys::create(&cli.library, options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line with all its causes, and never a backtrace.
            let _ = writeln!(stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
