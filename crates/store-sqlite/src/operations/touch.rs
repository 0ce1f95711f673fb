//! Recording when keys were last used.

use keywright_core::{KeyId, Timestamp};
use rusqlite::{Connection, params};

use crate::{error::Result, savepoint::atomic};

const TOUCH: &str = "
    UPDATE keywright_keys SET last_used_at = ?2
    WHERE id = ?1 AND (last_used_at IS NULL OR last_used_at < ?2)";

/// Moves the times of last use forward.
pub(crate) fn touch(connection: &Connection, uses: &[(KeyId, Timestamp)]) -> Result<()> {
    atomic(connection, || {
        let mut touch = connection.prepare_cached(TOUCH)?;
        for (id, time) in uses {
            touch.execute(params![id.as_bytes(), time.as_millis()])?;
        }
        Ok(())
    })
}
