//! Copying all keys to or from another store.

use std::collections::BTreeSet;

use keywright_core::{
    Environment, Event, EventId, KeyId, Timestamp, Workspace,
    store::{Import, Record, Reservation, Stage, StoreErrorKind, TransferId},
};
use sqlx::{PgConnection, Row as _, postgres::PgRow};

use super::{
    Uses,
    events::event,
    is_empty,
    scan::{ABOVE_ALL_IDS, BELOW_ALL_IDS, Order, Scan},
    touch,
};
use crate::{
    error::{Error, Result},
    record::{self, COLUMNS, id_text},
    statements::Statements,
    transaction::{self, event_id_text},
};

/// The number of workspaces in a page.
const WORKSPACES: i64 = 256;

/// Returns the id of the store, which the first migration has created.
pub(crate) async fn id(
    connection: &mut PgConnection,
    statements: &Statements,
) -> Result<TransferId> {
    let sql = "SELECT value FROM {schema}.settings WHERE name = 'id'";
    let id: Option<String> = sqlx::query_scalar(statements.sql(sql))
        .persistent(false)
        .fetch_optional(connection)
        .await?;
    let id = id.ok_or_else(|| Error::corrupt("the id of the store is missing"))?;
    TransferId::parse(&id).ok_or_else(|| Error::corrupt("invalid id of the store"))
}

/// Returns the stage of the store.
pub(crate) async fn stage(connection: &mut PgConnection, statements: &Statements) -> Result<Stage> {
    let sql = "SELECT (SELECT value FROM {schema}.settings WHERE name = 'prefix') AS claim, \
         (SELECT value FROM {schema}.settings WHERE name = 'version') LIKE '-%' AS sealed";
    let row = sqlx::query(statements.sql(sql))
        .persistent(false)
        .fetch_one(connection)
        .await?;
    let claim: Option<String> = row.try_get("claim")?;
    let is_sealed: bool = row.try_get("sealed")?;
    Stage::parse(claim.as_deref(), is_sealed)
        .ok_or_else(|| Error::corrupt("invalid claim of the prefix"))
}

/// Moves the store from one stage to another. The caller has locked the settings.
pub(crate) async fn set_stage(
    connection: &mut PgConnection,
    statements: &Statements,
    (from, to): &(Stage, Stage),
) -> Result<()> {
    if stage(connection, statements).await? != *from {
        return Err(StoreErrorKind::Conflict.into());
    }
    if *from == Stage::Unclaimed && !is_empty(connection, statements).await? {
        return Err(StoreErrorKind::Conflict.into());
    }
    let claim = match to.claim() {
        Some(claim) => {
            let sql = "INSERT INTO {schema}.settings (name, value) VALUES ('prefix', $1) \
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value";
            sqlx::query(statements.sql(sql)).bind(claim)
        }
        None => {
            let sql = "DELETE FROM {schema}.settings WHERE name = 'prefix'";
            sqlx::query(statements.sql(sql))
        }
    };
    claim.persistent(false).execute(&mut *connection).await?;
    let sql = "UPDATE {schema}.settings SET value = (abs(value::bigint) * $1)::text \
         WHERE name = 'version'";
    sqlx::query(statements.sql(sql))
        .bind(if to.is_sealed() { -1_i64 } else { 1 })
        .persistent(false)
        .execute(connection)
        .await?;
    Ok(())
}

/// Returns the first workspaces after one.
pub(crate) async fn workspaces(
    connection: &mut PgConnection,
    statements: &Statements,
    after: &Option<Workspace>,
) -> Result<Vec<Workspace>> {
    // Jumps from one workspace to the next in the indexes.
    let sql = "WITH RECURSIVE found AS (SELECT least( \
         (SELECT min(workspace) FROM {schema}.keys WHERE workspace {after} $1), \
         (SELECT min(workspace) FROM {schema}.events WHERE workspace {after} $1)) AS workspace \
         UNION ALL SELECT least( \
         (SELECT min(workspace) FROM {schema}.keys AS k WHERE k.workspace > found.workspace), \
         (SELECT min(workspace) FROM {schema}.events AS e WHERE e.workspace > found.workspace)) \
         FROM found WHERE workspace IS NOT NULL) \
         SELECT workspace FROM found WHERE workspace IS NOT NULL LIMIT $2";
    let comparison = if after.is_some() { ">" } else { ">=" };
    let after = after.as_ref().map_or("", Workspace::as_str);
    let found: Vec<String> =
        sqlx::query_scalar(statements.sql(&sql.replace("{after}", comparison)))
            .bind(after)
            .bind(WORKSPACES)
            .persistent(false)
            .fetch_all(&mut *connection)
            .await?;
    let mut workspaces = Vec::with_capacity(found.len());
    for text in found {
        match Workspace::parse(&text) {
            Ok(workspace) => workspaces.push(workspace),
            Err(error) => {
                let sql = "SELECT id FROM {schema}.keys WHERE workspace = $1 LIMIT 1";
                let row = sqlx::query(statements.sql(sql))
                    .bind(text)
                    .persistent(false)
                    .fetch_optional(connection)
                    .await?;
                let id = row.as_ref().map(record::id).transpose()?;
                return Err(id.map_or_else(|| Error::corrupt(error), |id| unreadable(&id, &error)));
            }
        }
    }
    Ok(workspaces)
}

/// A part of the records or events of a workspace.
#[derive(Clone, Debug)]
pub(crate) struct Page<I> {
    pub(crate) workspace: Workspace,
    pub(crate) after: Option<I>,
    pub(crate) limit: u32,
}

/// Reads a page of a table, from the oldest row to the newest.
async fn rows<I>(
    connection: &mut PgConnection,
    statements: &Statements,
    table: &'static str,
    columns: &str,
    page: &Page<I>,
    after: Option<String>,
) -> Result<Vec<PgRow>> {
    let scan = Scan::of_workspace(table, &page.workspace, Environment::Live, None);
    let after = after.as_deref().unwrap_or(BELOW_ALL_IDS);
    let mut query = scan.select(statements, columns, BELOW_ALL_IDS, ABOVE_ALL_IDS);
    query.push(" AND ");
    scan.push_bound(&mut query, ">", after);
    scan.push_order(&mut query, Order::Ascending);
    query.push(" LIMIT ").push_bind(i64::from(page.limit));
    let rows = query.build().persistent(false).fetch_all(connection);
    Ok(rows.await?)
}

pub(crate) async fn records(
    connection: &mut PgConnection,
    statements: &Statements,
    page: &Page<KeyId>,
) -> Result<Vec<Record>> {
    let after = page.after.as_ref().map(id_text);
    let rows = rows(connection, statements, "keys", COLUMNS, page, after).await?;
    let read = |row: &PgRow| {
        let id = record::id(row)?;
        record::record(row).map_err(|error| unreadable(&id, &error))
    };
    rows.iter().map(read).collect()
}

pub(crate) async fn events(
    connection: &mut PgConnection,
    statements: &Statements,
    page: &Page<EventId>,
) -> Result<Vec<Event>> {
    let after = page.after.as_ref().map(event_id_text);
    let rows = rows(connection, statements, "events", "id, event", page, after).await?;
    let read = |row: &PgRow| {
        let id: String = row.try_get("id")?;
        let id = EventId::from_bytes(id.as_bytes()).map_err(Error::corrupt)?;
        event(row, |event| event.workspace == page.workspace)
            .map_err(|error| unreadable(&id, &error))
    };
    rows.iter().map(read).collect()
}

fn unreadable(id: &dyn std::fmt::Display, reason: &dyn std::fmt::Display) -> Error {
    Error::corrupt(format!("{id} cannot be read: {reason}"))
}

pub(crate) async fn reservations(
    connection: &mut PgConnection,
    statements: &Statements,
    (after, limit): &(Option<[u8; 32]>, u32),
) -> Result<Vec<Reservation>> {
    let sql = "SELECT key, fingerprint, id, until FROM {schema}.reservations WHERE key > $1 \
         ORDER BY key LIMIT $2";
    let rows = sqlx::query(statements.sql(sql))
        .bind(after.as_ref().map_or(&[][..], |key| key))
        .bind(i64::from(*limit))
        .persistent(false)
        .fetch_all(connection)
        .await?;
    let digest = |row: &PgRow, column: &str| -> Result<[u8; 32]> {
        let bytes: Vec<u8> = row.try_get(column)?;
        let digest = bytes.try_into();
        digest.map_err(|_| Error::corrupt("a digest of a reservation has 32 bytes"))
    };
    let read = |row: &PgRow| {
        let until = Timestamp::from_millis(row.try_get("until")?).map_err(Error::corrupt)?;
        Ok(Reservation::new(
            digest(row, "key")?,
            digest(row, "fingerprint")?,
            record::id(row)?,
            until,
        ))
    };
    rows.iter().map(read).collect()
}

/// Writes an import. Returns the records that it has replaced or deleted.
pub(crate) async fn import(
    connection: &mut PgConnection,
    statements: &Statements,
    (receiving, import): &(Stage, Import),
) -> Result<BTreeSet<KeyId>> {
    // The transaction holds a lock of the table `settings`, so the stage stays as it is.
    if stage(connection, statements).await? != *receiving {
        return Err(StoreErrorKind::Conflict.into());
    }
    let mut changed = find_replaced(connection, statements, import).await?;
    changed.extend(import.purged_records.iter().map(|record| record.key.id));
    if !changed.is_empty() {
        let ids: Vec<String> = changed.iter().map(id_text).collect();
        let sql = "DELETE FROM {schema}.keys WHERE id = ANY($1)";
        sqlx::query(statements.sql(sql))
            .bind(ids)
            .persistent(false)
            .execute(&mut *connection)
            .await?;
        transaction::report_changes(connection, statements, &changed).await?;
    }
    if !import.records.is_empty() {
        transaction::insert(connection, statements, &import.records, &[]).await?;
        let used = |record: &Record| Some((record.key.id, record.key.last_used_at?));
        let uses: Vec<(KeyId, Timestamp)> = import.records.iter().filter_map(used).collect();
        if !uses.is_empty() {
            touch(connection, statements, &Uses::new(&uses)).await?;
        }
    }
    import_events(connection, statements, import).await?;
    import_reservations(connection, statements, import).await?;
    Ok(changed)
}

/// Returns which of the records exist.
async fn find_replaced(
    connection: &mut PgConnection,
    statements: &Statements,
    import: &Import,
) -> Result<BTreeSet<KeyId>> {
    let ids = import.records.iter().map(|record| record.key.id).collect();
    let present = transaction::lock_records(connection, statements, &ids).await?;
    let mut replaced = BTreeSet::new();
    for new in &import.records {
        let id = new.key.id;
        match present.get(&id) {
            Some(Ok(present)) => Import::check_replacement(present, new)?,
            Some(Err(error)) => return Err(unreadable(&id, error)),
            None => continue,
        }
        replaced.insert(id);
    }
    replaced.extend(with_aliases_of(connection, statements, import).await?);
    Ok(replaced)
}

/// Returns the records that have an alias of the new ones. The source has deleted them since: an
/// alias may then belong to another key.
async fn with_aliases_of(
    connection: &mut PgConnection,
    statements: &Statements,
    import: &Import,
) -> Result<Vec<KeyId>> {
    let aliases = import.records.iter().filter_map(|record| record.alias);
    let aliases: Vec<Vec<u8>> = aliases.map(|alias| alias.as_bytes().to_vec()).collect();
    if aliases.is_empty() {
        return Ok(Vec::new());
    }
    let sql = "SELECT id FROM {schema}.keys WHERE alias = ANY($1)";
    let rows = sqlx::query(statements.sql(sql))
        .bind(aliases)
        .persistent(false)
        .fetch_all(connection)
        .await?;
    rows.iter().map(record::id).collect()
}

async fn import_events(
    connection: &mut PgConnection,
    statements: &Statements,
    import: &Import,
) -> Result<()> {
    let replaced = import.events.iter().chain(&import.purged_events);
    let ids: Vec<String> = replaced.map(|event| event_id_text(&event.id)).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let sql = "DELETE FROM {schema}.events WHERE id = ANY($1)";
    sqlx::query(statements.sql(sql))
        .bind(ids)
        .persistent(false)
        .execute(&mut *connection)
        .await?;
    transaction::insert(connection, statements, &[], &import.events).await
}

async fn import_reservations(
    connection: &mut PgConnection,
    statements: &Statements,
    import: &Import,
) -> Result<()> {
    let reservations = &import.reservations;
    if reservations.is_empty() {
        return Ok(());
    }
    let column = |read: fn(&Reservation) -> &[u8; 32]| -> Vec<Vec<u8>> {
        reservations
            .iter()
            .map(|binding| read(binding).to_vec())
            .collect()
    };
    let ids: Vec<String> = reservations
        .iter()
        .map(|binding| id_text(&binding.id))
        .collect();
    let ends: Vec<i64> = reservations
        .iter()
        .map(|binding| binding.until.as_millis())
        .collect();
    let sql = "INSERT INTO {schema}.reservations (key, fingerprint, id, until) \
         SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::text[], $4::bigint[]) \
         ON CONFLICT (key) DO UPDATE \
         SET fingerprint = excluded.fingerprint, id = excluded.id, until = excluded.until";
    sqlx::query(statements.sql(sql))
        .bind(column(|binding| &binding.key))
        .bind(column(|binding| &binding.fingerprint))
        .bind(ids)
        .bind(ends)
        .persistent(false)
        .execute(connection)
        .await?;
    Ok(())
}
