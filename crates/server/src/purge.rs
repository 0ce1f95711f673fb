//! `keywright purge`: deletes the records of old keys, and old events.

use anyhow::Result;
use keywright_core::Issuer;
use serde::Serialize;

use crate::{
    keys::key_count,
    operator::open_existing,
    options::{LibraryOptions, PurgeOptions},
    output,
    progress::with_elapsed_time,
};

/// How many records of keys and events were deleted. `None` if they were not selected.
#[derive(Serialize)]
struct Purged {
    #[serde(rename = "purged", skip_serializing_if = "Option::is_none")]
    keys: Option<u64>,
    #[serde(rename = "purged_events", skip_serializing_if = "Option::is_none")]
    events: Option<u64>,
}

/// Deletes the records of keys that were revoked or expired long ago, and old events, and prints
/// how many.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(library: &LibraryOptions, options: PurgeOptions) -> Result<()> {
    let library = open_existing(library).await?;
    let issuer = library.keys.issuer();
    let mut purged = Purged {
        keys: None,
        events: None,
    };
    let newest = options.revoked_before.max(options.expired_before);
    if newest.is_some() {
        if newest > Some(issuer.now().saturating_sub(Issuer::KEPT_AFTER_END)) {
            output::note("keys that were revoked or expired in the last 24 hours are kept");
        }
        let keys = issuer.purge(
            options.workspace.clone(),
            options.revoked_before,
            options.expired_before,
        );
        purged.keys = Some(with_elapsed_time("purging keys", keys).await?);
    }
    if let Some(before) = options.events_before {
        let events = issuer.purge_events(options.workspace, before);
        purged.events = Some(with_elapsed_time("purging events", events).await?);
    }
    if options.json {
        return output::json(&purged);
    }
    let keys = purged.keys.map(key_count);
    let events = purged.events.map(|count| match count {
        1 => "1 event".into(),
        count => format!("{count} events"),
    });
    let counts: Vec<_> = keys.into_iter().chain(events).collect();
    output::lines(&format!("purged {}\n", counts.join(" and ")))
}
