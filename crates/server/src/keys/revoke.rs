//! `keywright keys revoke`.

use anyhow::{Result, bail};
use keywright_core::{
    Caller, IssueError, Issuer, KeyId, ListKeys, ListStart, Reach, Status, Workspace,
};
use serde_json::json;
use tokio::task::JoinSet;

use super::{Operator, options::RevokeOptions, print};
use crate::cli::LibraryOptions;

/// How often a workspace is gone through once more because keys were created in it meanwhile.
const MAX_PASSES: usize = 20;

/// Revokes a key, or all of a workspace, and prints how many that were.
pub(super) async fn run(library: &LibraryOptions, options: RevokeOptions) -> Result<()> {
    let workspace = match options.workspace {
        Some(workspace) => workspace,
        None => Workspace::parse("default")?,
    };
    let operator = Operator::of(library, workspace).await?;
    let count = match options.id {
        Some(id) => {
            let reach = if options.cascade {
                Reach::Descendants
            } else {
                Reach::Key
            };
            let revoked = operator.issuer().revoke(&operator.caller, &id, reach).await;
            revoked.map_err(|error| operator.told(error, &id))?.count
        }
        None => revoke_all(&operator).await?,
    };
    if options.json {
        return print::json(&json!({"revoked": count}));
    }
    print::lines(&format!("revoked {}\n", print::keys(count)))
}

/// Revokes every key of the workspace, those too that are created meanwhile, and tells how many.
async fn revoke_all(operator: &Operator) -> Result<u64> {
    let mut total = 0;
    // In small steps at first. What is left then may be creating keys faster than they are seen, and
    // goes together with these.
    let again = std::iter::repeat_n(Reach::Descendants, MAX_PASSES);
    for reach in std::iter::once(Reach::Key).chain(again) {
        let mut found = 0;
        for status in [Status::Active, Status::Expired] {
            let (seen, revoked) = revoke_each(operator, status, reach).await?;
            found += seen;
            total += revoked;
        }
        if found == 0 {
            return Ok(total);
        }
    }
    bail!(
        "{total} keys were revoked, but others are created in the workspace {} again and again; \
         stop what creates them and repeat this",
        operator.caller.workspace()
    )
}

/// Goes once through the keys of a status: how many were seen, and how many were revoked.
async fn revoke_each(operator: &Operator, status: Status, reach: Reach) -> Result<(u64, u64)> {
    let mut wanted = ListKeys::new();
    wanted.status = Some(status);
    wanted.limit = ListKeys::MAX_LIMIT;
    let (mut seen, mut revoked) = (0, 0);
    loop {
        let page = operator.issuer().list(&operator.caller, wanted.clone());
        let page = page.await?;
        // Together, so that a store can commit them together.
        let mut revocations = JoinSet::new();
        for key in &page.keys {
            let (issuer, caller) = (operator.issuer().clone(), operator.caller.clone());
            revocations.spawn(revoke_one(issuer, caller, key.id, reach));
            seen += 1;
        }
        while let Some(count) = revocations.join_next().await {
            revoked += count??;
        }
        match page.next {
            Some(cursor) => wanted.start = ListStart::After(cursor),
            None => return Ok((seen, revoked)),
        }
    }
}

/// Revokes a key, unless somebody has done so just now.
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
