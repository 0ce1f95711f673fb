//! Transactions that change records.

use std::collections::BTreeSet;

use async_trait::async_trait;
use keywright_core::{Environment, Event, EventId, KeyId, Owner, Revocation, Timestamp, Workspace};
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
    let (for_change, for_share) = match when_locked {
        WhenLocked::Wait => (&statements.lock_for_change, &statements.lock_for_share),
        WhenLocked::Fail => (
            &statements.try_lock_for_change,
            &statements.try_lock_for_share,
        ),
    };
    let mut locked = Locked::default();
    for (ids, sql) in [(changed, for_change), (admitting, for_share)] {
        if !ids.is_empty() {
            let ids: Vec<String> = ids.iter().map(id_text).collect();
            let rows = sqlx::query(sql.clone())
                .bind(ids)
                .persistent(false)
                .fetch_all(&mut *connection)
                .await?;
            add_rows(&mut locked, &rows)?;
        }
    }
    Ok(locked)
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
        let rows = sqlx::query(statements.lock_for_change.clone())
            .bind(vec![id_text(&self.root)])
            .persistent(false)
            .fetch_all(&mut *connection)
            .await?;
        add_rows(&mut locked, &rows)?;
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
