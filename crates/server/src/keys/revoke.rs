//! `keywright keys revoke`.

use anyhow::{Result, bail};
use keywright_core::{
    Caller, IssueError, Issuer, KeyId, ListKeys, ListStart, Reach, Status, Workspace,
};
use serde_json::json;
use tokio::task::JoinSet;

use super::{operator::Operator, options::RevokeOptions, output};
use crate::options::LibraryOptions;

/// The maximum number of times that the command lists a workspace again, because keys may have been
/// created in it in the meantime.
const MAX_REPEATS: usize = 20;

/// Revokes a key or all keys of a workspace, and prints how many keys it revoked.
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
        None => revoke_all(&operator).await?,
    };
    if options.json {
        return output::json(&json!({"revoked": count}));
    }
    output::lines(&format!("revoked {}\n", output::key_count(count)))
}

/// Revokes every key of the workspace, including keys that are created in the meantime, and returns
/// how many.
async fn revoke_all(operator: &Operator) -> Result<u64> {
    let mut total = 0;
    // First revoke each key alone, in small transactions. The remaining keys may create others
    // faster than this loop lists them, so revoke them together with their descendants.
    let repeats = std::iter::repeat_n(Reach::Descendants, MAX_REPEATS);
    for reach in std::iter::once(Reach::Key).chain(repeats) {
        let mut found = 0;
        for status in [Status::Active, Status::Expired] {
            let pass = revoke_each(operator, status, reach).await?;
            found += pass.found;
            total += pass.revoked;
        }
        if found == 0 {
            return Ok(total);
        }
    }
    bail!(
        "revoked {total} keys, but more keys are being created in the workspace {}; \
         stop their creation and run this command again",
        operator.caller.workspace()
    )
}

/// The result of one pass over the keys of a workspace.
#[derive(Default)]
struct Pass {
    found: u64,
    revoked: u64,
}

/// Lists the keys with a status, and revokes each.
async fn revoke_each(operator: &Operator, status: Status, reach: Reach) -> Result<Pass> {
    let mut query = ListKeys::new();
    query.status = Some(status);
    query.limit = ListKeys::MAX_LIMIT;
    let mut pass = Pass::default();
    loop {
        let page = operator.issuer().list(&operator.caller, query.clone());
        let page = page.await?;
        // Concurrently, so that a store can commit them together.
        let mut revocations = JoinSet::new();
        for key in &page.keys {
            let (issuer, caller) = (operator.issuer().clone(), operator.caller.clone());
            revocations.spawn(revoke_one(issuer, caller, key.id, reach));
            pass.found += 1;
        }
        while let Some(count) = revocations.join_next().await {
            pass.revoked += count??;
        }
        match page.next {
            Some(cursor) => query.start = ListStart::After(cursor),
            None => return Ok(pass),
        }
    }
}

/// Revokes a key, unless another caller has just revoked it, and returns how many keys it revoked.
async fn revoke_one(
    issuer: Issuer,
    caller: Caller,
    id: KeyId,
    reach: Reach,
) -> Result<u64, IssueError> {
    match issuer.revoke(&caller, &id, reach).await {
        Ok(revocation) => Ok(revocation.count),
        Err(IssueError::NotFound) => Ok(0),
        Err(error) => Err(error),
    }
}
