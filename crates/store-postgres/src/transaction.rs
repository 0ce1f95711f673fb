//! Transactions that change records.

use std::{collections::BTreeSet, mem, sync::Arc};

use async_trait::async_trait;
use keywright_core::{
    Environment, Event, EventId, KeyId, PreparedCaller, Revocation, Timestamp, Workspace,
    store::{Alias, Record, StoreErrorKind},
};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use crate::{
    change::{Change, Changed, Locked},
    database::{Access, Operation},
    error::{Error, Result},
    finder::Wanted as _,
    open,
    record::{self, id_text},
    statements::Statements,
    unlogged::Unlogged,
    values::{Values, text},
};

/// A change, with the event to append.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) change: Change,
    pub(crate) event: Option<Event>,
}

/// The effect of a record that another transaction has locked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WhenLocked {
    /// The statement waits.
    Wait,
    /// The change fails with [`Error::Locked`], so that it does not delay others of its batch.
    Fail,
}

/// Prepares a transaction of the host for a change.
pub(crate) async fn prepare(connection: &mut PgConnection, statements: &Statements) -> Result<()> {
    if !connection.is_in_transaction() {
        return Err(Error::HostTransaction);
    }
    let row = sqlx::raw_sql(statements.prepare_in_host.clone())
        .fetch_one(connection)
        .await
        .map_err(|error| match open::code(&error).as_deref() {
            // There is no such table.
            Some("42P01") => Error::OtherStore,
            _ => error.into(),
        })?;
    if !row.try_get::<bool, _>("is_this_store")? {
        return Err(Error::OtherStore);
    }
    if row.try_get("is_sealed")? {
        return Err(StoreErrorKind::Moved.into());
    }
    if !row.try_get::<bool, _>("is_version")? {
        return Err(Error::OtherSchema(None));
    }
    if !row.try_get::<bool, _>("is_read_committed")? {
        return Err(Error::HostTransaction);
    }
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
    changes: &[Arc<Recorded>],
    may_skip_locks: bool,
) -> Result<Vec<Result<Changed>>> {
    let mut sql = format!("{}; ", statements.begin_write.as_str());
    let mut locked = Locked::default();
    let mut all = changes.iter();
    if !(may_skip_locks && all.all(|recorded| recorded.change.is_independent())) {
        push_locks(&mut sql, statements, changes, None, WhenLocked::Fail);
        lock(connection, mem::take(&mut sql), &mut locked).await?;
    }
    let results = locked.apply_all(changes);
    sql.push_str(&write_sql(statements, &locked)?);
    sql.push_str("COMMIT");
    execute(connection, sql).await?;
    Ok(results)
}

/// Makes a change inside a transaction, and waits for records that another one has locked. First
/// checks the caller of a prepared change.
pub(crate) async fn apply(
    connection: &mut PgConnection,
    statements: &Statements,
    change: &Arc<Recorded>,
    caller: Option<&PreparedCaller>,
) -> Result<Changed> {
    let changes = std::slice::from_ref(change);
    let key = caller.and_then(PreparedCaller::key);
    let mut sql = String::new();
    push_locks(&mut sql, statements, changes, key, WhenLocked::Wait);
    let mut locked = Locked::default();
    lock(connection, sql, &mut locked).await?;
    if let Some(caller) = caller {
        locked.check_caller(caller)?;
    }
    let changed = locked.apply(&change.change, change.event.as_ref())?;
    write(connection, statements, &locked).await?;
    Ok(changed)
}

/// Checks the caller of a prepared change inside a transaction, and keeps its key as it is until
/// the end of the transaction.
pub(crate) async fn check_caller(
    connection: &mut PgConnection,
    statements: &Statements,
    caller: &PreparedCaller,
) -> Result<()> {
    let mut sql = String::new();
    push_locks(&mut sql, statements, &[], caller.key(), WhenLocked::Wait);
    let mut locked = Locked::default();
    lock(connection, sql, &mut locked).await?;
    locked.check_caller(caller)
}

/// Appends the statements that lock the rows of the records that the changes read, and the row of
/// the caller's key.
fn push_locks(
    sql: &mut String,
    statements: &Statements,
    changes: &[Arc<Recorded>],
    caller: Option<&KeyId>,
    when_locked: WhenLocked,
) {
    let changed: BTreeSet<KeyId> = changes
        .iter()
        .flat_map(|recorded| recorded.change.changed_ids())
        .collect();
    let admitting: BTreeSet<KeyId> = changes
        .iter()
        .filter_map(|recorded| recorded.change.admitting_id())
        .chain(caller.copied())
        .filter(|id| !changed.contains(id))
        .collect();
    let (for_change, for_share) = match when_locked {
        WhenLocked::Wait => (&statements.lock_for_change, &statements.lock_for_share),
        WhenLocked::Fail => (
            &statements.try_lock_for_change,
            &statements.try_lock_for_share,
        ),
    };
    push_lock(sql, for_change, &changed);
    push_lock(sql, for_share, &admitting);
    let aliases = changes
        .iter()
        .filter_map(|recorded| recorded.change.alias());
    let aliases: Vec<Alias> = aliases.collect();
    if !aliases.is_empty() {
        sql.push_str(&statements.taken_aliases);
        sql.push_str(&Alias::array(&aliases));
        sql.push_str("; ");
    }
}

/// Appends statements that lock rows.
fn push_lock(sql: &mut String, lock: &str, ids: &BTreeSet<KeyId>) {
    if !ids.is_empty() {
        // An id has only letters and digits.
        let ids: Vec<String> = ids.iter().map(id_text).collect();
        sql.push_str(&lock.replace("{ids}", &ids.join(",")));
        sql.push_str("; ");
    }
}

/// Locks rows with statements, and adds their records and the aliases in use. The rows of other
/// statements have neither.
async fn lock(connection: &mut PgConnection, sql: String, locked: &mut Locked) -> Result<()> {
    if sql.is_empty() {
        return Ok(());
    }
    let rows = sqlx::raw_sql(AssertSqlSafe(sql))
        .fetch_all(connection)
        .await?;
    for row in &rows {
        if row.try_column("taken").is_ok() {
            let alias = record::from_hex(row.try_get("taken")?).map_err(Error::corrupt)?;
            locked.add_alias(Alias::from_bytes(alias));
        }
    }
    for row in rows.iter().filter(|row| row.try_column("id").is_ok()) {
        let (id, record) = (record::id(row)?, record::record(row));
        if row.try_get("locked")? {
            locked.add(id, record);
        } else {
            locked.add_busy(id, record);
        }
    }
    Ok(())
}

/// Locks the rows of these records for a change.
async fn lock_for_change(
    connection: &mut PgConnection,
    statements: &Statements,
    ids: &BTreeSet<KeyId>,
    when_locked: WhenLocked,
    locked: &mut Locked,
) -> Result<()> {
    let statement = match when_locked {
        WhenLocked::Wait => &statements.lock_for_change,
        WhenLocked::Fail => &statements.try_lock_for_change,
    };
    let mut sql = String::new();
    push_lock(&mut sql, statement, ids);
    lock(connection, sql, locked).await
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
    // Two transactions with the same aliases insert them in the same order, so that one waits for
    // the other and neither waits in a deadlock.
    let mut records: Vec<&Record> = records.collect();
    records.sort_unstable_by_key(|record| record.alias);
    let records = record::rows(records.into_iter());
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

/// Adds entries to the feed.
pub(crate) async fn report_changes(
    connection: &mut PgConnection,
    statements: &Statements,
    changed: &BTreeSet<KeyId>,
) -> Result<()> {
    let mut sql = String::new();
    push_changes(&mut sql, statements, changed);
    execute(connection, sql).await
}

/// Locks the rows of any number of records, and reads them.
pub(crate) async fn lock_records(
    connection: &mut PgConnection,
    statements: &Statements,
    ids: &BTreeSet<KeyId>,
) -> Result<Locked> {
    let mut locked = Locked::default();
    lock_many(connection, statements, ids, &mut locked).await?;
    Ok(locked)
}

async fn execute(connection: &mut PgConnection, sql: String) -> Result<()> {
    let executed = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection);
    Unlogged::new(executed).await?;
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
    /// Revokes the keys inside a transaction. Also returns the ids of the keys that it has revoked.
    ///
    /// Each round finds all descendants of the keys of the round before, and locks them. The first
    /// one finds nearly all, at any depth. An insert locks its parent, so it is either committed
    /// before that lock and found in the next round, or waits and then finds its parent revoked.
    pub(crate) async fn revoke(
        &self,
        connection: &mut PgConnection,
        statements: &Statements,
    ) -> Result<(Revocation, BTreeSet<KeyId>)> {
        let mut locked = Locked::default();
        let mut round = BTreeSet::from([self.root]);
        lock_for_change(
            connection,
            statements,
            &round,
            WhenLocked::Wait,
            &mut locked,
        )
        .await?;
        let first = locked.revoke(&self.workspace, &self.root, self.now)?;
        let mut seen = round.clone();
        while !round.is_empty() {
            let successors = round.iter().filter_map(|id| locked.successor(id));
            let found: Vec<String> = sqlx::query_scalar(statements.descendants.clone())
                .bind(round.iter().map(id_text).collect::<Vec<_>>())
                .bind(successors.map(|id| id_text(&id)).collect::<Vec<_>>())
                .persistent(false)
                .fetch_all(&mut *connection)
                .await?;
            let found = found.iter().map(|id| KeyId::from_bytes(id.as_bytes()));
            let found: BTreeSet<KeyId> = found.collect::<Result<_, _>>().map_err(Error::corrupt)?;
            round = &found - &seen;
            lock_many(connection, statements, &round, &mut locked).await?;
            for id in &round {
                match locked.revoke(&self.workspace, id, self.now) {
                    // It was purged after it was found.
                    Err(Error::Rejected(StoreErrorKind::NotFound)) if !locked.contains(id) => {}
                    revoked => drop(revoked?),
                }
            }
            seen.extend(&round);
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

/// Locks the rows of any number of records. Rows that are free are locked at once, which takes no
/// advisory locks: the server has room for few.
async fn lock_many(
    connection: &mut PgConnection,
    statements: &Statements,
    ids: &BTreeSet<KeyId>,
    locked: &mut Locked,
) -> Result<()> {
    lock_for_change(connection, statements, ids, WhenLocked::Fail, locked).await?;
    let busy = locked.take_busy();
    if busy.len() > MAX_BUSY {
        return Err(Error::Locked);
    }
    lock_for_change(connection, statements, &busy, WhenLocked::Wait, locked).await
}

/// The maximum number of rows for which a transaction waits at a time.
const MAX_BUSY: usize = 256;

#[async_trait]
impl Operation for Cascade {
    type Output = (Revocation, BTreeSet<KeyId>);

    fn access(&self) -> Access {
        Access::Write
    }

    async fn step(
        &mut self,
        connection: &mut PgConnection,
        statements: &Statements,
    ) -> Result<Option<Self::Output>> {
        self.revoke(connection, statements).await.map(Some)
    }
}

/// Returns an id as the tables contain it.
pub(crate) fn event_id_text(id: &EventId) -> String {
    id.as_bytes().iter().copied().map(char::from).collect()
}
