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
mod dates;
mod drain;
mod events;
mod exit_code;
mod first_key;
mod foreign;
mod health;
mod help;
mod host_header;
mod import;
mod keys;
mod listen;
mod logging;
mod manual;
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
mod progress;
mod purge;
mod redact;
mod rlimits;
mod router;
mod secret_output;
mod serve;
mod serve_options;
mod shutdown;
mod store;
mod streams;
mod table;
mod terminal;
mod terminal_escape;
mod timed_stream;
mod whoami;

use std::process::ExitCode;

use crate::cli::Command;

fn main() -> ExitCode {
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    let library = &cli.library;
    let result = match cli.command {
        Command::Serve(options) => return serve::run(library, &options),
        Command::Keys(command) => return finish(keys::run(library, command)),
        Command::Events(options) => events::run(library, options),
        Command::Migrate(options) => migrate::run(library, &options),
        Command::Copy(options) => copy::run(library, &options),
        Command::Backup(options) => backup::run(library, options),
        Command::Import(options) => import::run(library, options),
        Command::Purge(options) => purge::run(library, options),
        Command::Openapi => openapi::print(),
        Command::Completions(options) => manual::print_completions(&options),
        Command::Man(options) => manual::print(&options),
    };
    finish(result.map(|()| ExitCode::SUCCESS))
}

/// Prints an error, and returns the exit code.
fn finish(result: anyhow::Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        output::note(&error_line(&error));
        exit_code::of_error(&error)
    })
}

/// Returns one line with the whole chain of causes, and never a backtrace.
fn error_line(error: &anyhow::Error) -> String {
    format!("error: {}", redact::tokens(&format!("{error:#}")))
}
