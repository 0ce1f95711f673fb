//! Transactions that change records.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use keywright_core::{
    Environment, Event, EventId, KeyId, Owner, Revocation, Timestamp, Workspace,
    store::StoreErrorKind,
};
use sqlx::{Connection as _, PgConnection, Row as _, postgres::PgRow};

use crate::{
    change::{Change, Changed, Locked},
    database::{Access, Operation},
    error::{Error, Result},
    record::{self, Rows, id_text},
    statements::Statements,
};

/// A change, with the event to append.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) change: Change,
    pub(crate) event: Option<Event>,
}

/// What to do about a record that another transaction has locked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WhenLocked {
    /// Wait, because the transaction belongs to the host.
    Wait,
    /// The change fails with [`Error::Locked`], so that it does not delay others.
    Fail,
}

/// A change in a transaction of its own, which waits for its records.
#[derive(Clone, Debug)]
pub(crate) struct Alone(pub(crate) Arc<Recorded>);

#[async_trait]
impl Operation for Alone {
    type Output = Changed;
    const ACCESS: Access = Access::Write;

    async fn step(
        &mut self,
        connection: &mut PgConnection,
        statements: &Statements,
    ) -> Result<Option<Changed>> {
        let results = apply(connection, statements, &[&self.0], WhenLocked::Wait).await?;
        results.into_iter().next().transpose()
    }
}

/// Prepares a transaction of the host for a change.
pub(crate) async fn prepare(connection: &mut PgConnection, statements: &Statements) -> Result<()> {
    if !connection.is_in_transaction() {
        return Err(Error::HostTransaction);
    }
    let row = sqlx::raw_sql(statements.prepare_in_host.clone())
        .fetch_one(connection)
        .await?;
    if !row.try_get::<bool, _>("is_version")? {
        return Err(Error::OtherSchema(None));
    }
    if !row.try_get::<bool, _>("is_read_committed")? {
        return Err(Error::HostTransaction);
    }
    Ok(())
}

/// Makes changes inside a transaction. Each of them succeeds or fails alone. An error of the whole
/// transaction is returned as `Err`.
pub(crate) async fn apply(
    connection: &mut PgConnection,
    statements: &Statements,
    changes: &[&Recorded],
    when_locked: WhenLocked,
) -> Result<Vec<Result<Changed>>> {
    let mut locked = lock(connection, statements, changes, when_locked).await?;
    let results = changes
        .iter()
        .map(|recorded| locked.apply(&recorded.change, recorded.event.as_ref()))
        .collect();
    write(connection, statements, &locked).await?;
    Ok(results)
}

/// Locks the rows of the records that the changes read, and reads them.
async fn lock(
    connection: &mut PgConnection,
    statements: &Statements,
    changes: &[&Recorded],
    when_locked: WhenLocked,
) -> Result<Locked> {
    let changed: BTreeSet<KeyId> = changes
        .iter()
        .flat_map(|recorded| recorded.change.changed_ids())
        .collect();
    let admitting: BTreeSet<KeyId> = changes
        .iter()
        .filter_map(|recorded| recorded.change.admitting_id())
        .filter(|id| !changed.contains(id))
        .collect();
    let mut locked = Locked::default();
    lock_rows(
        connection,
        statements,
        &changed,
        Strength::Change,
        when_locked,
        &mut locked,
    )
    .await?;
    lock_rows(
        connection,
        statements,
        &admitting,
        Strength::Share,
        when_locked,
        &mut locked,
    )
    .await?;
    Ok(locked)
}

/// What a lock of a row is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Strength {
    /// A change of the record.
    Change,
    /// The insert of a key that the record must admit.
    Share,
}

/// Locks rows, and adds their records.
async fn lock_rows(
    connection: &mut PgConnection,
    statements: &Statements,
    ids: &BTreeSet<KeyId>,
    strength: Strength,
    when_locked: WhenLocked,
    locked: &mut Locked,
) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let ids: Vec<String> = ids.iter().map(id_text).collect();
    let sql = match (when_locked, strength) {
        (WhenLocked::Fail, Strength::Change) => &statements.try_lock_for_change,
        (WhenLocked::Fail, Strength::Share) => &statements.try_lock_for_share,
        (WhenLocked::Wait, Strength::Change) => &statements.lock_for_change,
        (WhenLocked::Wait, Strength::Share) => &statements.lock_for_share,
    };
    if when_locked == WhenLocked::Wait {
        let reserve = match strength {
            Strength::Change => &statements.reserve_for_change,
            Strength::Share => &statements.reserve_for_share,
        };
        sqlx::query(reserve.clone())
            .bind(&ids)
            .persistent(false)
            .execute(&mut *connection)
            .await?;
    }
    let rows = sqlx::query(sql.clone())
        .bind(ids)
        .persistent(false)
        .fetch_all(connection)
        .await?;
    add_rows(locked, &rows)
}

fn add_rows(locked: &mut Locked, rows: &[PgRow]) -> Result<()> {
    for row in rows {
        if row.try_get("locked")? {
            locked.add(record::id(row)?, record::record(row));
        } else {
            locked.add_busy(record::id(row)?, record::record(row));
        }
    }
    Ok(())
}

/// Writes the rows, the events, and the entries of the feed.
async fn write(
    connection: &mut PgConnection,
    statements: &Statements,
    locked: &Locked,
) -> Result<()> {
    let mut inserted = Rows::default();
    for record in locked.written(&locked.inserted) {
        inserted.push(record)?;
    }
    if !inserted.is_empty() {
        insert(connection, statements, inserted).await?;
    }
    // A key that this transaction has inserted and changed is already written as it is now.
    let changed: BTreeSet<KeyId> = &locked.changed - &locked.inserted;
    let mut updated = Rows::default();
    for record in locked.written(&changed) {
        updated.push(record)?;
    }
    if !updated.is_empty() {
        let ids = updated.id.clone();
        update(connection, statements, updated).await?;
        sqlx::query(statements.insert_changes.clone())
            .bind(ids)
            .persistent(false)
            .execute(&mut *connection)
            .await?;
    }
    append_events(connection, statements, &locked.events).await
}

async fn insert(connection: &mut PgConnection, statements: &Statements, rows: Rows) -> Result<()> {
    sqlx::query(statements.insert_keys.clone())
        .bind(rows.id)
        .bind(rows.workspace)
        .bind(rows.test)
        .bind(rows.owner)
        .bind(rows.name)
        .bind(rows.folded_name)
        .bind(rows.permissions)
        .bind(rows.enabled)
        .bind(rows.allowed_ips)
        .bind(rows.parent)
        .bind(rows.successor)
        .bind(rows.predecessor)
        .bind(rows.rotated_by)
        .bind(rows.expires_at)
        .bind(rows.revoked_at)
        .bind(rows.hash)
        .bind(rows.tag)
        .bind(rows.version)
        .bind(rows.metadata)
        .bind(rows.attributes)
        .persistent(false)
        .execute(connection)
        .await?;
    Ok(())
}

async fn update(connection: &mut PgConnection, statements: &Statements, rows: Rows) -> Result<()> {
    sqlx::query(statements.update_keys.clone())
        .bind(rows.id)
        .bind(rows.name)
        .bind(rows.folded_name)
        .bind(rows.permissions)
        .bind(rows.enabled)
        .bind(rows.allowed_ips)
        .bind(rows.successor)
        .bind(rows.expires_at)
        .bind(rows.revoked_at)
        .bind(rows.hash)
        .bind(rows.tag)
        .bind(rows.version)
        .bind(rows.metadata)
        .bind(rows.attributes)
        .persistent(false)
        .execute(connection)
        .await?;
    Ok(())
}

async fn append_events(
    connection: &mut PgConnection,
    statements: &Statements,
    events: &[Event],
) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let texts: Vec<String> = events
        .iter()
        .map(serde_json::to_string)
        .collect::<Result<_, _>>()
        .map_err(Error::corrupt)?;
    let column = |read: fn(&Event) -> String| events.iter().map(read).collect::<Vec<_>>();
    let owners: Vec<Option<String>> = events
        .iter()
        .map(|event| event.owner.as_ref().map(Owner::to_string))
        .collect();
    let test: Vec<bool> = events
        .iter()
        .map(|event| event.environment == Environment::Test)
        .collect();
    sqlx::query(statements.insert_events.clone())
        .bind(column(|event| event_id_text(&event.id)))
        .bind(column(|event| event.workspace.to_string()))
        .bind(test)
        .bind(owners)
        .bind(column(|event| id_text(&event.key)))
        .bind(texts)
        .persistent(false)
        .execute(connection)
        .await?;
    Ok(())
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
    /// Each level is found in a statement that begins after the level above is locked. An insert
    /// locks its parent, so it is either committed before that and found here, or waits and then
    /// finds its parent revoked.
    pub(crate) async fn revoke(
        &self,
        connection: &mut PgConnection,
        statements: &Statements,
    ) -> Result<(Revocation, BTreeSet<KeyId>)> {
        let mut locked = Locked::default();
        let mut level = BTreeSet::from([self.root]);
        lock_rows(
            connection,
            statements,
            &level,
            Strength::Change,
            WhenLocked::Wait,
            &mut locked,
        )
        .await?;
        let first = locked.revoke(&self.workspace, &self.root, self.now)?;
        let mut seen = level.clone();
        while !level.is_empty() {
            let successors = level.iter().filter_map(|id| locked.successor(id));
            let found: Vec<String> = sqlx::query_scalar(statements.descendants.clone())
                .bind(level.iter().map(id_text).collect::<Vec<_>>())
                .bind(successors.map(|id| id_text(&id)).collect::<Vec<_>>())
                .persistent(false)
                .fetch_all(&mut *connection)
                .await?;
            let found = found.iter().map(|id| KeyId::from_bytes(id.as_bytes()));
            let found: BTreeSet<KeyId> = found.collect::<Result<_, _>>().map_err(Error::corrupt)?;
            level = &found - &seen;
            lock_level(connection, statements, &level, &mut locked).await?;
            for id in &level {
                match locked.revoke(&self.workspace, id, self.now) {
                    // It was purged after it was found.
                    Err(Error::Rejected(StoreErrorKind::NotFound)) if !locked.contains(id) => {}
                    revoked => drop(revoked?),
                }
            }
            seen.extend(&level);
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

/// Locks the rows of one level of a cascade. Rows that are free are locked at once, which takes no
/// advisory locks: the server has room for few.
async fn lock_level(
    connection: &mut PgConnection,
    statements: &Statements,
    level: &BTreeSet<KeyId>,
    locked: &mut Locked,
) -> Result<()> {
    lock_rows(
        connection,
        statements,
        level,
        Strength::Change,
        WhenLocked::Fail,
        locked,
    )
    .await?;
    let busy = locked.take_busy();
    if busy.len() > MAX_BUSY {
        return Err(Error::Locked);
    }
    lock_rows(
        connection,
        statements,
        &busy,
        Strength::Change,
        WhenLocked::Wait,
        locked,
    )
    .await
}

/// The maximum number of rows of one level for which a cascade waits at a time.
const MAX_BUSY: usize = 256;

#[async_trait]
impl Operation for Cascade {
    type Output = (Revocation, BTreeSet<KeyId>);
    const ACCESS: Access = Access::Write;

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
