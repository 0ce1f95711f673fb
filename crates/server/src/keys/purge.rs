//! `keywright keys purge`.

use anyhow::Result;
use keywright_core::Issuer;
use serde_json::json;

use super::{open_existing, options::PurgeOptions, print};
use crate::cli::LibraryOptions;

/// Deletes records of keys that were revoked long ago, and prints how many.
pub(super) async fn run(library: &LibraryOptions, options: PurgeOptions) -> Result<()> {
    let keys = open_existing(library).await?;
    let kept = keys
        .issuer()
        .now()
        .saturating_sub(Issuer::KEPT_AFTER_REVOCATION);
    if kept < options.revoked_before {
        print::note("keys that were revoked in the last 24 hours are kept");
    }
    let count = keys
        .issuer()
        .purge(options.workspace, options.revoked_before)
        .await?;
    if options.json {
        print::json(&json!({"purged": count}))
    } else {
        print::lines(&format!("purged {}\n", print::keys(count)))
    }
}
