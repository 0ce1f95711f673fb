//! `keywright keys …`: the operator's way in.

mod create;
mod get;
mod list;
mod options;
mod print;
mod purge;
mod rename;
mod revoke;
mod rotate;
mod table;
mod verify;
mod visible;

use std::{process::ExitCode, time::Duration};

use anyhow::{Result, anyhow, bail};
use keywright_core::{
    Caller, Clock, IssueError, Issuer, KeyId, Keywright, Permissions, SystemClock, Timestamp,
    Workspace,
};

pub(crate) use self::options::KeysCommand;
use crate::{
    cli::LibraryOptions,
    store::{self, StoreUrl},
};

/// Does what a command asks for, and tells what to exit with.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(library: &LibraryOptions, command: KeysCommand) -> Result<ExitCode> {
    match command {
        KeysCommand::Create(options) => create::run(library, options).await?,
        KeysCommand::List(options) => list::run(library, options).await?,
        KeysCommand::Get(options) => get::run(library, options).await?,
        KeysCommand::Rename(options) => rename::run(library, options).await?,
        KeysCommand::Revoke(options) => revoke::run(library, options).await?,
        KeysCommand::Rotate(options) => rotate::run(library, options).await?,
        KeysCommand::Verify(options) => return verify::run(library, options).await,
        KeysCommand::Purge(options) => purge::run(library, options).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Opens the library over a store that is there already: a mistyped path must not leave a new file
/// behind, and look like a store without keys.
async fn open_existing(library: &LibraryOptions) -> Result<Keywright> {
    let url = StoreUrl::parse(&library.store)?;
    url.require_existing()?;
    Ok(store::open(&url, library).await?.keys)
}

/// Who asks: the operator, in one workspace.
struct Operator {
    keys: Keywright,
    caller: Caller,
}

impl Operator {
    async fn of(library: &LibraryOptions, workspace: Workspace) -> Result<Self> {
        Ok(Self {
            keys: open_existing(library).await?,
            caller: Caller::new(workspace, Permissions::all()),
        })
    }

    const fn issuer(&self) -> &Issuer {
        self.keys.issuer()
    }

    /// What went wrong with a key that must not be revoked.
    fn told(&self, error: IssueError, id: &KeyId) -> anyhow::Error {
        match error {
            IssueError::NotFound => anyhow!(
                "there is no key {id} in the workspace {}, or it is revoked",
                self.caller.workspace()
            ),
            error => error.into(),
        }
    }
}

/// When a key ends that lives that long from now. It opens no store: a mistake must not leave a new
/// file behind.
fn end_after(span: Duration) -> Result<Timestamp> {
    let end = SystemClock::default().now().saturating_add(span);
    if span.is_zero() || end == Timestamp::MAX {
        bail!("--expires-in must be more than nothing, and end before the year 10000");
    }
    Ok(end)
}
