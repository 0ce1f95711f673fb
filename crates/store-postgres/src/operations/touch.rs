//! Times of last use.

use std::collections::BTreeMap;

use async_trait::async_trait;
use keywright_core::{KeyId, Timestamp};
use sqlx::PgConnection;

use crate::{
    database::{Access, Operation},
    error::Result,
    record::id_text,
    statements::Statements,
};

/// Moves the times of last use forward, except in records that another transaction locks. Returns
/// whether there was none.
#[derive(Clone, Debug)]
pub(crate) struct Touch {
    ids: Vec<String>,
    times: Vec<i64>,
}

impl Touch {
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

#[async_trait]
impl Operation for Touch {
    type Output = bool;

    fn access(&self) -> Access {
        Access::Write
    }

    async fn step(
        &mut self,
        connection: &mut PgConnection,
        statements: &Statements,
    ) -> Result<Option<bool>> {
        let touched = sqlx::query(statements.touch.clone())
            .bind(&self.ids)
            .bind(&self.times)
            .persistent(false)
            .execute(&mut *connection)
            .await?;
        if touched.rows_affected() == self.ids.len() as u64 {
            return Ok(Some(true));
        }
        let is_left: bool = sqlx::query_scalar(statements.not_touched.clone())
            .bind(&self.ids)
            .bind(&self.times)
            .persistent(false)
            .fetch_one(connection)
            .await?;
        Ok(Some(!is_left))
    }
}
