//! `keywright keys revoke`.

use anyhow::{Result, anyhow};
use keywright_core::{IssueError, Owner, Reach, Workspace};
use serde_json::json;

use super::{options::RevokeOptions, output};
use crate::{operator::Operator, options::LibraryOptions};

/// Revokes a key, or all keys of an owner or a workspace, and prints how many keys it revoked.
pub(super) async fn run(library: &LibraryOptions, options: RevokeOptions) -> Result<()> {
    let workspace = match options.workspace {
        Some(workspace) => workspace,
        None => Workspace::parse("default")?,
    };
    let operator = Operator::open(library, workspace).await?;
    let count = match options.id {
        Some(id) => {
            let reach = if options.cascade {
                Reach::Descendants
            } else {
                Reach::Key
            };
            let revoked = operator.issuer().revoke(&operator.caller, &id, reach).await;
            revoked
                .map_err(|error| operator.key_error(error, &id))?
                .count
        }
        None => revoke_all(&operator, options.owner.as_ref()).await?,
    };
    if options.json {
        return output::json(&json!({"revoked": count}));
    }
    output::lines(&format!("revoked {}\n", output::key_count(count)))
}

/// Revokes every key of the workspace, or of an owner in it, and returns how many.
async fn revoke_all(operator: &Operator, owner: Option<&Owner>) -> Result<u64> {
    let revoked = operator.issuer().revoke_all(&operator.caller, owner).await;
    revoked.map_err(|error| match error {
        IssueError::StillCreated => anyhow!(
            "{error} in the workspace {}; stop their creation and run this command again",
            operator.caller.workspace()
        ),
        error => error.into(),
    })
}
