//! Checking whether the store has any key.

use std::sync::Arc;

use super::{scan::Scan, stored::read};
use crate::{error::Result, names::Names, servers::Servers};

/// Whether no server has a record. Scans all names until it finds one. Programs call this when they
/// start.
pub(crate) async fn is_empty(servers: &Arc<Servers>) -> Result<bool> {
    for node in servers.primaries() {
        let mut scan = Scan::new(node, servers.names().record_prefix());
        while let Some(names) = scan.next(servers).await? {
            for id in names.iter().filter_map(|name| Names::id_of_record(name)) {
                match read(servers, &id).await {
                    // A tombstone, which may outlive all records, or a record that was just
                    // deleted.
                    Ok(None) => {}
                    Ok(Some(_)) => return Ok(false),
                    // A damaged record counts.
                    Err(error) if error.is_corrupt() => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(true)
}
