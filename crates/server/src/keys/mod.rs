//! `keywright keys …`: manages keys directly in the store.

mod create;
mod get;
mod list;
pub(crate) mod options;
mod output;
mod report;
mod revoke;
mod rotate;
mod table;
mod update;
mod verify;

use std::process::ExitCode;

use anyhow::Result;

use self::options::KeysCommand;
pub(crate) use self::output::key_count;
use crate::options::LibraryOptions;

/// Runs a command, and returns the exit code of the program.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(library: &LibraryOptions, command: KeysCommand) -> Result<ExitCode> {
    match command {
        KeysCommand::Create(options) => create::run(library, options).await?,
        KeysCommand::List(options) => list::run(library, options).await?,
        KeysCommand::Get(options) => get::run(library, options).await?,
        KeysCommand::Update(options) => update::run(library, options).await?,
        KeysCommand::Disable(options) => update::set_enabled(library, options, false).await?,
        KeysCommand::Enable(options) => update::set_enabled(library, options, true).await?,
        KeysCommand::Revoke(options) => revoke::run(library, options).await?,
        KeysCommand::Rotate(options) => rotate::run(library, options).await?,
        KeysCommand::Verify(options) => return verify::run(library, options).await,
        KeysCommand::Report(options) => report::run(library, options).await?,
    }
    Ok(ExitCode::SUCCESS)
}
