//! `keywright keys get`.

use anyhow::{Result, anyhow};
use keywright_core::IssueError;
use keywright_http_tower::KeyView;

use super::{Operator, options::GetOptions, print, table};
use crate::cli::LibraryOptions;

/// Prints one key, revoked ones too.
pub(super) async fn run(library: &LibraryOptions, options: GetOptions) -> Result<()> {
    let operator = Operator::of(library, options.workspace).await?;
    let found = operator.issuer().find(&operator.caller, &options.id).await;
    let key = found.map_err(|error| match error {
        IssueError::NotFound => anyhow!(
            "there is no key {} in the workspace {}",
            options.id,
            operator.caller.workspace()
        ),
        error => error.into(),
    })?;
    let now = operator.issuer().now();
    if options.json {
        print::json(&KeyView::new(&key, now))
    } else {
        print::lines(&table::details(&key, now))
    }
}
