//! `keywright keys purge`.

use anyhow::Result;
use keywright_core::Issuer;
use serde_json::json;

use super::{operator::open_existing, options::PurgeOptions, output};
use crate::options::LibraryOptions;

/// Deletes the records of keys that were revoked or expired long ago, and prints how many.
pub(super) async fn run(library: &LibraryOptions, options: PurgeOptions) -> Result<()> {
    let library = open_existing(library).await?;
    let issuer = library.keys.issuer();
    let kept_since = issuer.now().saturating_sub(Issuer::KEPT_AFTER_END);
    if options.revoked_before.max(options.expired_before) > Some(kept_since) {
        output::note("keys that were revoked or expired in the last 24 hours are kept");
    }
    let count = issuer
        .purge(
            options.workspace,
            options.revoked_before,
            options.expired_before,
        )
        .await?;
    if options.json {
        output::json(&json!({"purged": count}))
    } else {
        output::lines(&format!("purged {}\n", output::key_count(count)))
    }
}
