//! `keywright keys get`.

use anyhow::{Result, anyhow};
use keywright_core::IssueError;

use super::{options::KeyOptions, output};
use crate::{operator::Operator, options::LibraryOptions};

/// Prints a key, even if it is revoked.
pub(super) async fn run(library: &LibraryOptions, options: KeyOptions) -> Result<()> {
    let operator = Operator::open(library, options.workspace).await?;
    let found = operator.issuer().find(&operator.caller, &options.id).await;
    let found = found.map_err(|error| match error {
        IssueError::NotFound => anyhow!(
            "there is no key {} in the workspace {}",
            options.id,
            operator.caller.workspace()
        ),
        error => error.into(),
    })?;
    output::key(&found.key, operator.issuer().now(), options.json)
}
