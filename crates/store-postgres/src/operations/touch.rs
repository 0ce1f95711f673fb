//! Times of last use.

use std::collections::BTreeMap;

use keywright_core::{KeyId, Timestamp};
use sqlx::PgConnection;

use crate::{error::Result, record::id_text, statements::Statements};

/// Moves the times of last use forward.
pub(crate) async fn touch(
    connection: &mut PgConnection,
    statements: &Statements,
    uses: &[(KeyId, Timestamp)],
) -> Result<()> {
    let mut latest: BTreeMap<KeyId, Timestamp> = BTreeMap::new();
    for (id, time) in uses {
        let last = latest.entry(*id).or_insert(*time);
        *last = (*last).max(*time);
    }
    let ids: Vec<String> = latest.keys().map(id_text).collect();
    let times: Vec<i64> = latest.values().map(|time| time.as_millis()).collect();
    sqlx::query(statements.touch.clone())
        .bind(ids)
        .bind(times)
        .persistent(false)
        .execute(connection)
        .await?;
    Ok(())
}
