//! `keywright`: an API-key server on SQLite, PostgreSQL or Redis, and the command line to manage
//! its keys.
#![allow(
    rustdoc::invalid_rust_codeblocks,
    reason = "help texts contain shell commands, which clap prints as they are"
)]

mod activity;
mod backup;
mod clean_value;
mod cli;
mod connection;
mod connections;
mod console;
mod copy;
mod drain;
mod events;
mod first_key;
mod health;
mod host_header;
mod keys;
mod listen;
mod logging;
mod metrics;
mod middleware;
mod migrate;
mod openapi;
mod operator;
mod options;
mod output;
mod pepper_file;
mod places;
mod postgres;
mod redact;
mod rlimits;
mod router;
mod secret_output;
mod serve;
mod shutdown;
mod store;
mod streams;
mod table;
mod terminal_escape;
mod timed_stream;
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
    let result = match cli.command {
        Command::Serve(options) => return serve::run(&cli.library, &options),
        Command::Keys(command) => keys::run(&cli.library, command),
        Command::Events(options) => events::run(&cli.library, options).map(|()| ExitCode::SUCCESS),
        Command::Migrate(options) => {
            migrate::run(&cli.library, &options).map(|()| ExitCode::SUCCESS)
        }
        Command::Copy(options) => copy::run(&cli.library, &options).map(|()| ExitCode::SUCCESS),
        Command::Backup(options) => backup::run(&cli.library, options).map(|()| ExitCode::SUCCESS),
    };
    match result {
        Ok(exit) => exit,
        Err(error) => {
            let _ = writeln!(stderr(), "{}", error_line(&error));
            exit_on_error
        }
    }
}

/// Returns one line with the whole chain of causes, and never a backtrace.
fn error_line(error: &anyhow::Error) -> String {
    format!("error: {}", redact::tokens(&format!("{error:#}")))
}
