//! Times of last use.

use std::collections::BTreeMap;

use keywright_core::{KeyId, Timestamp};
use sqlx::PgConnection;

use crate::{error::Result, record::id_text, statements::Statements};

/// Times of last use, one for each key.
#[derive(Clone, Debug)]
pub(crate) struct Uses {
    ids: Vec<String>,
    times: Vec<i64>,
}

impl Uses {
    pub(crate) fn new(uses: &[(KeyId, Timestamp)]) -> Self {
        let mut latest: BTreeMap<KeyId, Timestamp> = BTreeMap::new();
        for (id, time) in uses {
            let last = latest.entry(*id).or_insert(*time);
            *last = (*last).max(*time);
        }
        Self {
            ids: latest.keys().map(id_text).collect(),
            times: latest.values().map(|time| time.as_millis()).collect(),
        }
    }
}

/// Moves the times of last use forward, except in records that another transaction locks. Returns
/// whether there was none.
pub(crate) async fn touch(
    connection: &mut PgConnection,
    statements: &Statements,
    uses: &Uses,
) -> Result<bool> {
    let touched = sqlx::query(statements.touch.clone())
        .bind(&uses.ids)
        .bind(&uses.times)
        .persistent(false)
        .execute(&mut *connection)
        .await?;
    if touched.rows_affected() == uses.ids.len() as u64 {
        return Ok(true);
    }
    let is_left: bool = sqlx::query_scalar(statements.not_touched.clone())
        .bind(&uses.ids)
        .bind(&uses.times)
        .persistent(false)
        .fetch_one(connection)
        .await?;
    Ok(!is_left)
}
