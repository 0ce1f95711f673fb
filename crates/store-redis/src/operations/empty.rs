//! Whether there is no key at all.

use std::sync::Arc;

use super::{read, scan::Scan};
use crate::{error::Result, servers::Servers};

/// Whether no server has a record. That is asked when a server starts: it looks at all names until it
/// meets a record.
pub(crate) async fn is_empty(servers: &Arc<Servers>) -> Result<bool> {
    for node in servers.primaries() {
        let mut scan = Scan::of(node);
        while let Some(ids) = scan.next(servers).await? {
            for id in ids {
                // What stands for a key that was never made is none, and may outlive all records.
                match read(servers, &id).await {
                    Ok(None) => {}
                    Ok(Some(_)) => return Ok(false),
                    // A damaged record is one.
                    Err(error) if error.is_corrupt() => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(true)
}
