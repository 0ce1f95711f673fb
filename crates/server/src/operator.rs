//! The operator: a caller with all permissions in one workspace.

use anyhow::{Result, anyhow};
use keywright_core::{Caller, IssueError, Issuer, KeyId, Workspace};

use crate::{
    options::LibraryOptions,
    store::{self, Library, Opener, StoreUrl},
};

/// The operator, with the library opened over an existing store.
pub(crate) struct Operator {
    library: Library,
    pub(crate) caller: Caller,
}

impl Operator {
    pub(crate) async fn open(library: &LibraryOptions, workspace: Workspace) -> Result<Self> {
        Ok(Self {
            library: open_existing(library).await?,
            caller: Caller::operator(workspace),
        })
    }

    pub(crate) const fn issuer(&self) -> &Issuer {
        self.library.keys.issuer()
    }

    /// The error of an operation on the key `id`, which must exist and must not be revoked.
    pub(crate) fn key_error(&self, error: IssueError, id: &KeyId) -> anyhow::Error {
        match error {
            IssueError::NotFound => anyhow!(
                "there is no key {id} in the workspace {}, or it is revoked",
                self.caller.workspace()
            ),
            error => error.into(),
        }
    }
}

/// Opens the library over an existing store. A mistyped path must not create a new file, which
/// would look like a store without keys.
pub(crate) async fn open_existing(library: &LibraryOptions) -> Result<Library> {
    let url = StoreUrl::parse(&library.store)?;
    url.require_existing()?;
    store::open(&url, library, Opener::Command).await
}
