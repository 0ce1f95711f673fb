//! Reservations of idempotency keys.

use keywright_core::{
    KeyId, Timestamp,
    store::{Reservation, Reserved},
};
use sqlx::{PgConnection, Row as _};

use crate::{
    error::{Error, Result},
    record::id_text,
    statements::Statements,
};

/// Binds an idempotency key to an id, or returns the earlier binding. Also deletes a few bindings
/// that have ended, so that they do not accumulate.
pub(crate) async fn reserve(
    connection: &mut PgConnection,
    statements: &Statements,
    reservation: &Reservation,
    now: Timestamp,
) -> Result<Reserved> {
    let sql = "DELETE FROM {schema}.reservations WHERE key IN \
         (SELECT key FROM {schema}.reservations WHERE until <= $1 ORDER BY until LIMIT 8 \
         FOR UPDATE SKIP LOCKED)";
    sqlx::query(statements.sql(sql))
        .bind(now.as_millis())
        .persistent(false)
        .execute(&mut *connection)
        .await?;
    if reservation.until > now {
        let sql = "INSERT INTO {schema}.reservations AS r (key, fingerprint, id, until) \
             VALUES ($1, $2, $3, $4) ON CONFLICT (key) DO UPDATE \
             SET fingerprint = excluded.fingerprint, id = excluded.id, until = excluded.until \
             WHERE r.until <= $5";
        let bound = sqlx::query(statements.sql(sql))
            .bind(reservation.key.as_slice())
            .bind(reservation.fingerprint.as_slice())
            .bind(id_text(&reservation.id))
            .bind(reservation.until.as_millis())
            .bind(now.as_millis())
            .persistent(false)
            .execute(&mut *connection)
            .await?;
        if bound.rows_affected() == 1 {
            return Ok(Reserved::New);
        }
    }
    let sql = "SELECT id, fingerprint FROM {schema}.reservations WHERE key = $1 AND until > $2";
    let earlier = sqlx::query(statements.sql(sql))
        .bind(reservation.key.as_slice())
        .bind(now.as_millis())
        .persistent(false)
        .fetch_optional(connection)
        .await?;
    let Some(row) = earlier else {
        return Ok(Reserved::New);
    };
    let id: String = row.try_get("id")?;
    let fingerprint: Vec<u8> = row.try_get("fingerprint")?;
    Ok(Reserved::Earlier {
        id: KeyId::from_bytes(id.as_bytes()).map_err(Error::corrupt)?,
        fingerprint: fingerprint
            .try_into()
            .map_err(|_| Error::corrupt("a fingerprint has 32 bytes"))?,
    })
}
