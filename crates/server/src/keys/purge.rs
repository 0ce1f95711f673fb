//! `keywright keys purge`.

use anyhow::Result;
use keywright_core::Issuer;
use serde_json::json;

use super::{operator::open_existing, options::PurgeOptions, output};
use crate::options::LibraryOptions;

/// Deletes the records of keys that were revoked long ago, and prints how many.
pub(super) async fn run(library: &LibraryOptions, options: PurgeOptions) -> Result<()> {
    let keys = open_existing(library).await?;
    let kept_since = keys
        .issuer()
        .now()
        .saturating_sub(Issuer::KEPT_AFTER_REVOCATION);
    if kept_since < options.revoked_before {
        output::note("keys that were revoked in the last 24 hours are kept");
    }
    let count = keys
        .issuer()
        .purge(options.workspace, options.revoked_before)
        .await?;
    if options.json {
        output::json(&json!({"purged": count}))
    } else {
        output::lines(&format!("purged {}\n", output::key_count(count)))
    }
}
