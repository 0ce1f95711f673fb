//! Transactions that change records.

use std::collections::BTreeSet;

use keywright_core::{
    Environment, Event, EventId, KeyId, Owner, Revocation, Timestamp, Workspace,
    store::StoreErrorKind,
};
use serde::Serialize;
use sqlx::{AssertSqlSafe, PgConnection, Row as _, postgres::PgRow};

use crate::{
    change::{Change, Changed, Locked},
    error::{Error, Result},
    record::{self, RecordRow, id_text, json_literal},
    statements::Statements,
};

/// A change, with the event to append.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) change: Change,
    pub(crate) event: Option<Event>,
}

/// Prepares a transaction of the host for a change.
pub(crate) async fn prepare(connection: &mut PgConnection, statements: &Statements) -> Result<()> {
    sqlx::raw_sql(statements.prepare_change.clone())
        .execute(connection)
        .await?;
    Ok(())
}

/// Makes changes in a transaction, in as few messages as possible: one if all changes insert keys
/// without a parent, otherwise one that locks rows and one that writes them. Each change succeeds
/// or fails alone.
///
/// If this returns an error or is cancelled, the transaction may be open or failed.
pub(crate) async fn commit(
    connection: &mut PgConnection,
    statements: &Statements,
    changes: &[Recorded],
) -> Result<Vec<Result<Changed>>> {
    let mut sql = format!("{}; ", statements.begin_write.as_str());
    if changes
        .iter()
        .all(|recorded| recorded.change.is_independent())
    {
        return commit_new(connection, statements, changes, sql).await;
    }
    sql.push_str(&lock_sql(statements, changes));
    let (mut locked, mut sql) = (lock(connection, sql).await?, String::new());
    let results = locked.apply_all(changes);
    write_sql(&mut sql, statements, &locked)?;
    sql.push_str("COMMIT");
    execute(connection, sql).await?;
    Ok(results)
}

/// Inserts keys that depend on no other record. A key whose id is in use is not inserted.
async fn commit_new(
    connection: &mut PgConnection,
    statements: &Statements,
    changes: &[Recorded],
    mut sql: String,
) -> Result<Vec<Result<Changed>>> {
    let mut locked = Locked::default();
    let mut results = locked.apply_all(changes);
    let rows: Vec<_> = locked
        .written(&locked.inserted)
        .map(RecordRow::new)
        .collect();
    let insert = statements
        .insert_new_keys
        .replace("{rows}", &json_literal(&rows)?)
        .replace("{events}", &json_literal(&event_rows(&locked.events)?)?);
    sql.push_str(&insert);
    sql.push_str("; COMMIT");
    let rows = sqlx::raw_sql(AssertSqlSafe(sql))
        .fetch_all(connection)
        .await?;
    let inserted: BTreeSet<KeyId> = with_id(&rows).map(record::id).collect::<Result<_>>()?;
    for (recorded, result) in changes.iter().zip(&mut results) {
        if !recorded
            .change
            .changed_ids()
            .all(|id| inserted.contains(&id))
        {
            *result = Err(StoreErrorKind::AlreadyExists.into());
        }
    }
    Ok(results)
}

/// Makes changes inside a transaction of the host. Each of them succeeds or fails alone. An error
/// of the whole transaction is returned as `Err`.
pub(crate) async fn apply(
    connection: &mut PgConnection,
    statements: &Statements,
    changes: &[Recorded],
) -> Result<Vec<Result<Changed>>> {
    let mut locked = lock(connection, lock_sql(statements, changes)).await?;
    let results = locked.apply_all(changes);
    write(connection, statements, &locked).await?;
    Ok(results)
}

/// Returns the statements that lock the rows of the records that the changes read, and read them.
fn lock_sql(statements: &Statements, changes: &[Recorded]) -> String {
    let changed: BTreeSet<KeyId> = changes
        .iter()
        .flat_map(|recorded| recorded.change.changed_ids())
        .collect();
    let admitting: BTreeSet<KeyId> = changes
        .iter()
        .filter_map(|recorded| recorded.change.admitting_id())
        .filter(|id| !changed.contains(id))
        .collect();
    let mut sql = String::new();
    for (ids, lock) in [
        (changed, &statements.lock_for_change),
        (admitting, &statements.lock_for_share),
    ] {
        if !ids.is_empty() {
            // An id has only letters and digits.
            let ids: Vec<String> = ids.iter().map(id_text).collect();
            sql.push_str(&lock.replace("{ids}", &ids.join(",")));
            sql.push_str("; ");
        }
    }
    sql
}

async fn lock(connection: &mut PgConnection, sql: String) -> Result<Locked> {
    let rows = sqlx::raw_sql(AssertSqlSafe(sql))
        .fetch_all(connection)
        .await?;
    let mut locked = Locked::default();
    for row in with_id(&rows) {
        locked.add(record::id(row)?, record::record(row));
    }
    Ok(locked)
}

/// Returns the rows without that of the check of the version, which has no id.
fn with_id(rows: &[PgRow]) -> impl Iterator<Item = &PgRow> {
    rows.iter().filter(|row| row.try_column("id").is_ok())
}

/// Writes the rows, the events, and the entries of the feed.
async fn write(
    connection: &mut PgConnection,
    statements: &Statements,
    locked: &Locked,
) -> Result<()> {
    let mut sql = String::new();
    write_sql(&mut sql, statements, locked)?;
    if sql.is_empty() {
        return Ok(());
    }
    execute(connection, sql).await
}

/// Appends the statements that write the rows, the events, and the entries of the feed.
fn write_sql(sql: &mut String, statements: &Statements, locked: &Locked) -> Result<()> {
    // A key that this transaction has inserted and changed is already inserted as it is now.
    let changed: BTreeSet<KeyId> = &locked.changed - &locked.inserted;
    for (ids, statement) in [
        (&locked.inserted, &statements.insert_keys),
        (&changed, &statements.update_keys),
    ] {
        let rows: Vec<_> = locked.written(ids).map(RecordRow::new).collect();
        if !rows.is_empty() {
            sql.push_str(&statement.replace("{rows}", &json_literal(&rows)?));
            sql.push_str("; ");
        }
    }
    if !locked.events.is_empty() {
        let rows = json_literal(&event_rows(&locked.events)?)?;
        sql.push_str(&statements.insert_events.replace("{events}", &rows));
        sql.push_str("; ");
    }
    Ok(())
}

async fn execute(connection: &mut PgConnection, sql: String) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(connection)
        .await?;
    Ok(())
}

/// A row of an event.
#[derive(Serialize)]
struct EventRow<'e> {
    id: String,
    workspace: &'e str,
    test: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'e str>,
    key: String,
    event: String,
}

fn event_rows(events: &[Event]) -> Result<Vec<EventRow<'_>>> {
    let rows = events.iter().map(|event| {
        Ok(EventRow {
            id: event_id_text(&event.id),
            workspace: event.workspace.as_str(),
            test: event.environment == Environment::Test,
            owner: event.owner.as_ref().map(Owner::as_str),
            key: id_text(&event.key),
            event: serde_json::to_string(event).map_err(Error::corrupt)?,
        })
    });
    rows.collect()
}

/// A revocation of a key and all its descendants.
#[derive(Clone, Debug)]
pub(crate) struct Cascade {
    pub(crate) workspace: Workspace,
    pub(crate) root: KeyId,
    pub(crate) now: Timestamp,
    pub(crate) event: Option<Event>,
}

impl Cascade {
    /// Revokes the keys inside a transaction. Also returns the ids of the keys that
    /// it has revoked.
    ///
    /// Each level is locked and read in a statement that begins after the level above is locked. An
    /// insert locks its parent, so it is either committed before that and found here, or waits and then
    /// finds its parent revoked.
    pub(crate) async fn revoke(
        &self,
        connection: &mut PgConnection,
        statements: &Statements,
    ) -> Result<(Revocation, BTreeSet<KeyId>)> {
        let mut locked = Locked::default();
        let lock = statements
            .lock_for_change
            .replace("{ids}", &id_text(&self.root));
        let rows = sqlx::raw_sql(AssertSqlSafe(lock))
            .fetch_all(&mut *connection)
            .await?;
        for row in &rows {
            locked.add(record::id(row)?, record::record(row));
        }
        let first = locked.revoke(&self.workspace, &self.root, self.now)?;
        let mut seen = BTreeSet::from([self.root]);
        let mut level = rows;
        while !level.is_empty() {
            let mut successors = Vec::new();
            let mut receivers = Vec::new();
            for row in &level {
                receivers.push(id_text(&record::id(row)?));
                successors.extend(row.try_get::<Option<String>, _>("successor")?);
            }
            let rows = sqlx::query(statements.descendants.clone())
                .bind(receivers)
                .bind(successors)
                .persistent(false)
                .fetch_all(&mut *connection)
                .await?;
            level = Vec::new();
            for row in rows {
                let id = record::id(&row)?;
                if seen.insert(id) {
                    locked.add(id, Ok(record::record(&row)?));
                    locked.revoke(&self.workspace, &id, self.now)?;
                    level.push(row);
                }
            }
        }
        let count = locked.changed.len() as u64;
        if count > 0 {
            let event = self.event.clone().map(|event| event.with_count(count));
            locked.events.extend(event);
        }
        write(connection, statements, &locked).await?;
        Ok((Revocation::new(first, count), locked.changed))
    }
}

/// Returns an id as the tables contain it.
pub(crate) fn event_id_text(id: &EventId) -> String {
    id.as_bytes().iter().copied().map(char::from).collect()
}
