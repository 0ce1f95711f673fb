//! Transactions that change records.

use std::{collections::BTreeSet, mem};

use keywright_core::{
    Environment, Event, EventId, KeyId, Revocation, Timestamp, Workspace, store::Record,
};
use sqlx::{AssertSqlSafe, PgConnection, Row as _, postgres::PgRow};

use crate::{
    change::{Change, Changed, Locked},
    error::{Error, Result},
    record::{self, id_text},
    statements::Statements,
    values::{Values, text},
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

/// Makes changes in a transaction, in as few messages as possible: one that locks and reads rows,
/// and one that writes. Each change succeeds or fails alone.
///
/// With `may_skip_locks`, changes that depend on no stored record need only the second message.
/// This fails with a conflict if an id is in use.
///
/// If this returns an error or is cancelled, the transaction may be open or failed.
pub(crate) async fn commit(
    connection: &mut PgConnection,
    statements: &Statements,
    changes: &[Recorded],
    may_skip_locks: bool,
) -> Result<Vec<Result<Changed>>> {
    let mut sql = format!("{}; ", statements.begin_write.as_str());
    let mut locked = Locked::default();
    let are_independent = || {
        changes
            .iter()
            .all(|recorded| recorded.change.is_independent())
    };
    if !(may_skip_locks && are_independent()) {
        sql.push_str(&lock_sql(statements, changes));
        locked = lock(connection, mem::take(&mut sql)).await?;
    }
    let results = locked.apply_all(changes);
    sql.push_str(&write_sql(statements, &locked)?);
    sql.push_str("COMMIT");
    execute(connection, sql).await?;
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
        push_lock(&mut sql, lock, &ids);
    }
    sql
}

fn push_lock(sql: &mut String, lock: &str, ids: &BTreeSet<KeyId>) {
    if !ids.is_empty() {
        // An id has only letters and digits.
        let ids: Vec<String> = ids.iter().map(id_text).collect();
        sql.push_str(&lock.replace("{ids}", &ids.join(",")));
        sql.push_str("; ");
    }
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
    let sql = write_sql(statements, locked)?;
    if sql.is_empty() {
        return Ok(());
    }
    execute(connection, sql).await
}

/// Returns the statements that write the rows, the events, and the entries of the feed.
fn write_sql(statements: &Statements, locked: &Locked) -> Result<String> {
    let inserted = locked.written(&locked.inserted);
    let mut sql = insert_sql(statements, inserted, &locked.events)?;
    // A key that this transaction has inserted and changed is already inserted as it is now.
    let changed: BTreeSet<KeyId> = &locked.changed - &locked.inserted;
    let updated = record::rows(locked.written(&changed));
    if !updated.is_empty() {
        push_changes(&mut sql, statements, &changed);
        let update = statements
            .update_keys
            .replace("{rows}", &updated.to_table("n"));
        sql.push_str(&update);
        sql.push_str("; ");
    }
    Ok(sql)
}

/// Returns the statements that insert records and events.
fn insert_sql<'r>(
    statements: &Statements,
    records: impl Iterator<Item = &'r Record>,
    events: &[Event],
) -> Result<String> {
    let mut sql = String::new();
    let records = record::rows(records);
    if !records.is_empty() {
        push_insert(&mut sql, &statements.insert_keys, &records);
    }
    if !events.is_empty() {
        push_insert(&mut sql, &statements.insert_events, &event_rows(events)?);
    }
    Ok(sql)
}

/// Appends a statement that reports changes to the feed.
fn push_changes(sql: &mut String, statements: &Statements, changed: &BTreeSet<KeyId>) {
    let ids = changed.iter().map(|id| [Some(text(&id_text(id)))]);
    let changes = Values::new(["id"], ids.collect());
    push_insert(sql, &statements.insert_changes, &changes);
}

fn push_insert<const N: usize>(sql: &mut String, statement: &str, values: &Values<N>) {
    sql.push_str(statement);
    sql.push_str(&values.to_insert());
    sql.push_str("; ");
}

/// Inserts records and events as they are.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    statements: &Statements,
    records: &[Record],
    events: &[Event],
) -> Result<()> {
    let sql = insert_sql(statements, records.iter(), events)?;
    if sql.is_empty() {
        return Ok(());
    }
    execute(connection, sql).await
}

/// Locks the rows of these records for a change, and reads them.
pub(crate) async fn lock_for_change(
    connection: &mut PgConnection,
    statements: &Statements,
    ids: impl Iterator<Item = KeyId>,
) -> Result<Locked> {
    let mut sql = String::new();
    push_lock(&mut sql, &statements.lock_for_change, &ids.collect());
    lock(connection, sql).await
}

async fn execute(connection: &mut PgConnection, sql: String) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(connection)
        .await?;
    Ok(())
}

fn event_rows(events: &[Event]) -> Result<Values<6>> {
    const COLUMNS: [&str; 6] = ["id", "workspace", "test", "owner", "key", "event"];
    let rows = events.iter().map(|event| {
        Ok([
            Some(text(&event_id_text(&event.id))),
            Some(text(event.workspace.as_str())),
            Some((event.environment == Environment::Test).to_string()),
            event.owner.as_ref().map(|owner| text(owner.as_str())),
            Some(text(&id_text(&event.key))),
            Some(text(&serde_json::to_string(event).map_err(Error::corrupt)?)),
        ])
    });
    Ok(Values::new(COLUMNS, rows.collect::<Result<_>>()?))
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
