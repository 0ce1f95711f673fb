//! Binding idempotency keys to ids.

use keywright_core::{
    Timestamp,
    store::{Reservation, Reserved},
};
use rusqlite::{Connection, params};

use crate::{error::Result, record};

/// Deletes some expired reservations, so that the table stays small. This is correct whether or not
/// the new reservation is bound.
const PRUNE: &str = "
    DELETE FROM keywright_reservations WHERE key IN (
        SELECT key FROM keywright_reservations WHERE until <= ?1 ORDER BY until LIMIT 8
    )";

const RESERVE: &str = "
    INSERT INTO keywright_reservations (key, fingerprint, id, until) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (key) DO UPDATE
        SET fingerprint = excluded.fingerprint, id = excluded.id, until = excluded.until
        WHERE until <= ?5";

const EARLIER: &str = "SELECT id, fingerprint FROM keywright_reservations WHERE key = ?1";

/// Binds a reservation, or returns the earlier binding.
pub(crate) fn reserve(
    connection: &Connection,
    reservation: &Reservation,
    now: Timestamp,
) -> Result<Reserved> {
    let now = now.as_millis();
    connection.prepare_cached(PRUNE)?.execute([now])?;
    let bound = connection.prepare_cached(RESERVE)?.execute(params![
        reservation.key,
        reservation.fingerprint,
        reservation.id.as_bytes(),
        reservation.until.as_millis(),
        now,
    ])?;
    if bound > 0 {
        return Ok(Reserved::New);
    }
    let earlier = connection
        .prepare_cached(EARLIER)?
        .query_one([reservation.key], |row| {
            Ok(Reserved::Earlier {
                id: record::cell(row, 0, record::id)?,
                fingerprint: row.get(1)?,
            })
        })?;
    Ok(earlier)
}
