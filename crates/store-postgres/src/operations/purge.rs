//! The purge of revoked and expired keys.

use keywright_core::{Timestamp, store::Purge};
use sqlx::{PgConnection, Postgres, QueryBuilder};

use crate::{error::Result, statements::Statements};

/// Deletes records of revoked and expired keys from which no other record descends, and returns how
/// many.
pub(crate) async fn purge(
    connection: &mut PgConnection,
    statements: &Statements,
    purge: &Purge,
) -> Result<u64> {
    let keys = format!("{}.keys", statements.schema);
    let mut query: QueryBuilder<Postgres> = QueryBuilder::new(format!(
        "DELETE FROM {keys} WHERE id IN (SELECT id FROM {keys} AS k WHERE (revoked_at < "
    ));
    query
        .push_bind(purge.revoked_before.map(Timestamp::as_millis))
        .push(" OR expires_at < ")
        .push_bind(purge.expired_before.map(Timestamp::as_millis))
        .push(")");
    if let Some(workspace) = &purge.workspace {
        query
            .push(" AND workspace = ")
            .push_bind(workspace.to_string());
    }
    query
        .push(format!(
            " AND NOT EXISTS (SELECT FROM {keys} AS d WHERE d.parent = k.id) \
             AND NOT EXISTS (SELECT FROM {keys} AS d WHERE d.rotated_by = k.id) \
             AND NOT EXISTS (SELECT FROM {keys} AS d WHERE d.id = k.successor) \
             ORDER BY id DESC LIMIT "
        ))
        .push_bind(i64::from(purge.limit))
        .push(" FOR UPDATE)");
    let deleted = query.build().persistent(false).execute(connection).await?;
    Ok(deleted.rows_affected())
}
