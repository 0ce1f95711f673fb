//! `keywright keys get`.

use anyhow::{Result, anyhow};
use keywright_core::IssueError;

use super::{operator::Operator, options::GetOptions, output};
use crate::options::LibraryOptions;

/// Prints a key, even if it is revoked.
pub(super) async fn run(library: &LibraryOptions, options: GetOptions) -> Result<()> {
    let operator = Operator::open(library, options.workspace).await?;
    let found = operator.issuer().find(&operator.caller, &options.id).await;
    let key = found.map_err(|error| match error {
        IssueError::NotFound => anyhow!(
            "there is no key {} in the workspace {}",
            options.id,
            operator.caller.workspace()
        ),
        error => error.into(),
    })?;
    output::key(&key, operator.issuer().now(), options.json)
}
