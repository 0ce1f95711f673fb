//! The feed of changes that other processes make, which extends the lease.
//!
//! Each change appends a row to the table `changes` with the number of its transaction. The feed
//! polls: one statement returns the new rows and the snapshot that it saw. A row is new if the
//! snapshot of the previous poll did not see its transaction. So no row is missed, in whatever
//! order transactions commit.
//!
//! The feed does not use `NOTIFY`: it takes a lock of the whole database at each commit, and
//! poolers and reconnects lose notifications.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use keywright_core::{KeyId, store::Lease};
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, PgPool, Row as _, postgres::PgConnectOptions,
};
use tokio::{
    sync::Notify,
    task::AbortHandle,
    time::{sleep, timeout},
};

use crate::{
    config::{MAX_STALENESS_BOUND, PostgresConfig},
    database::{DEADLINE, Database},
    error::{Error, Result},
    heartbeat::confirmed,
    schema::{VERSION, in_schema},
    snapshot::Snapshot,
    statements::Statements,
};

/// The number of polls in the staleness bound.
const POLLS_IN_BOUND: u32 = 5;

/// The number of polls in the staleness bound that a standby confirms, if there are synchronous
/// standbys.
const CONFIRMED_IN_BOUND: u32 = 3;

/// A poll with more changed records makes the copies of all records stale.
const MAX_CHANGES: usize = 1000;

/// After this time without an operation, the feed stops polling, so that a database without work
/// can be suspended. The store sees no verification of a cached key, but last uses are written at
/// least once a minute while keys are used, so this is longer. The next operation wakes the feed.
const IDLE: Duration = Duration::from_secs(120);

/// How long rows are kept after their transactions have ended, at least. That is ten times the
/// largest bound. A poll that comes later than half of it makes all copies stale.
const KEPT: Duration = Duration::from_secs(600);

const _: () = assert!(KEPT.as_secs() >= 10 * MAX_STALENESS_BOUND.as_secs());

/// The maximum number of rows that are deleted between two polls.
const MAX_PRUNED: u64 = 1000;

/// When the store was last used.
#[derive(Debug)]
pub(crate) struct Activity {
    origin: Instant,
    /// The time of the last operation, in milliseconds after the origin.
    last: AtomicU64,
    resumed: Notify,
}

impl Activity {
    fn new(now: Instant) -> Self {
        Self {
            origin: now,
            last: AtomicU64::new(0),
            resumed: Notify::new(),
        }
    }

    /// Records an operation, and wakes the feed if it has stopped polling.
    pub(crate) fn mark(&self, now: Instant) {
        let millis = now.saturating_duration_since(self.origin).as_millis();
        let millis = u64::try_from(millis).unwrap_or(u64::MAX);
        let before = self.last.swap(millis, Ordering::Relaxed);
        if millis.saturating_sub(before) > 1_000 {
            self.resumed.notify_one();
        }
    }

    fn is_idle(&self, now: Instant) -> bool {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        now.saturating_duration_since(self.origin) > last + IDLE
    }
}

/// The task that polls. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) activity: Arc<Activity>,
    task: AbortHandle,
}

impl Feed {
    /// Starts the feed on the current runtime. The feed of a strict store never extends the lease.
    pub(crate) fn start(database: &Database, config: &PostgresConfig) -> Self {
        let activity = Arc::new(Activity::new(database.lease.now()));
        let poller = Poller {
            pool: database.pool.clone(),
            options: config.feed_options.clone(),
            statements: Arc::clone(&database.statements),
            bound: config.staleness_bound,
            lease: Arc::clone(&database.lease),
            activity: Arc::clone(&activity),
        };
        let task = if config.strict {
            tokio::spawn(poller.run_strict())
        } else {
            tokio::spawn(poller.run())
        };
        Self {
            activity,
            task: task.abort_handle(),
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Poller {
    pool: PgPool,
    /// The options of the feed's connection. `None` means those of the pool, which the host may
    /// replace, for example to change the password.
    options: Option<PgConnectOptions>,
    statements: Arc<Statements>,
    bound: Duration,
    lease: Arc<Lease>,
    activity: Arc<Activity>,
}

/// The state of the server at a poll.
#[derive(Clone, Debug)]
struct Seen {
    snapshot: Snapshot,
    /// The server: the identifier of its database system, its timeline, which a promotion changes,
    /// and the time of its start. A pooler or a proxy may lead to another one.
    server: String,
    /// The time of the server, in seconds.
    server_time: f64,
}

/// The reply to a poll.
struct Reply {
    seen: Seen,
    /// The ids of changed records, or `None` if there are too many.
    changed: Option<Vec<KeyId>>,
    /// Whether a commit waits for a standby.
    synchronous: bool,
}

/// The polls that a synchronous standby has confirmed.
#[derive(Default)]
struct Confirmed {
    /// Whether a commit waited for a standby at the last poll.
    is_required: bool,
    /// When the last one was sent.
    last: Option<Instant>,
}

impl Confirmed {
    /// Whether a standby must confirm a poll that is sent at `now`.
    fn is_due(&self, now: Instant, bound: Duration) -> bool {
        let is_recent = |last| now.saturating_duration_since(last) <= bound / CONFIRMED_IN_BOUND;
        self.is_required && !self.last.is_some_and(is_recent)
    }
}

impl Poller {
    /// Polls until the host closes the pool.
    async fn run(self) {
        let mut closed = self.pool.close_event();
        // The error is that the pool was closed.
        let _ = closed.do_until(self.poll_forever()).await;
    }

    /// Deletes old rows until the host closes the pool, because all feeds may be strict.
    async fn run_strict(self) {
        let mut closed = self.pool.close_event();
        let _ = closed.do_until(self.prune_forever()).await;
    }

    async fn prune_forever(&self) {
        let mut horizon = Horizon::default();
        loop {
            // A process that ends soon, such as a command, needs no connection for this.
            sleep(KEPT).await;
            if self.activity.is_idle(self.lease.now()) {
                self.activity.resumed.notified().await;
            }
            if let Err(error) = self.advance(&mut horizon).await {
                tracing::debug!(%error, "could not delete old changes");
            }
        }
    }

    /// Reads the feed once, and deletes the rows that nothing needs.
    async fn advance(&self, horizon: &mut Horizon) -> Result<()> {
        let mut connection = PgConnection::connect_with(&self.pool.connect_options()).await?;
        let read = self.read(&mut connection, None, false);
        let reply = timeout(DEADLINE, read).await;
        if let Some(end) = horizon.advance(&reply.map_err(|_| Error::Timeout)??.seen) {
            while self.prune(&mut connection, end).await? == MAX_PRUNED {}
        }
        Ok(connection.close().await?)
    }

    async fn poll_forever(&self) {
        let retry = self.bound / POLLS_IN_BOUND;
        let mut horizon = Horizon::default();
        let mut was_other = false;
        loop {
            let of_pool = self.pool.connect_options();
            let options = self.options.as_ref().unwrap_or(&of_pool);
            match timeout(self.bound, PgConnection::connect_with(options)).await {
                Ok(Ok(connection)) => {
                    let error = self
                        .poll_repeatedly(connection, &of_pool, &mut horizon)
                        .await;
                    if matches!(error, Error::OtherStore) && !was_other {
                        tracing::warn!(%error, "the feed of changes reads another store");
                    }
                    was_other = matches!(error, Error::OtherStore);
                    tracing::debug!(%error, "the feed of changes lost its connection");
                }
                Ok(Err(error)) => tracing::debug!(%error, "the feed of changes cannot connect"),
                Err(_) => tracing::debug!("the feed of changes cannot connect in time"),
            }
            // The lease lapses, and each verification reads the store.
            sleep(retry).await;
        }
    }

    /// Polls until the connection fails, and returns the error.
    async fn poll_repeatedly(
        &self,
        mut connection: PgConnection,
        of_pool: &Arc<PgConnectOptions>,
        horizon: &mut Horizon,
    ) -> Error {
        let mut seen = None;
        let mut confirmed = Confirmed::default();
        let mut deletable = None;
        loop {
            // The pool may now connect to another server.
            if self.options.is_none() && !Arc::ptr_eq(of_pool, &self.pool.connect_options()) {
                return Error::OtherServer;
            }
            if self.activity.is_idle(self.lease.now()) {
                self.activity.resumed.notified().await;
                seen = None;
            }
            let polled = self.poll(&mut connection, &mut seen, &mut confirmed);
            match timeout(self.bound, polled).await {
                Err(_) => return Error::Timeout,
                Ok(Err(error)) => return error,
                Ok(Ok(())) => {}
            }
            let advanced = seen.as_ref().and_then(|seen| horizon.advance(seen));
            if let Some(end) = advanced.or(deletable) {
                match self.prune(&mut connection, end).await {
                    Ok(deleted) => deletable = (deleted == MAX_PRUNED).then_some(end),
                    Err(error) => return error,
                }
            }
            sleep(self.bound / POLLS_IN_BOUND).await;
        }
    }

    /// Invalidates the copies of records that others have changed, and extends the lease.
    ///
    /// The lease counts from before the statement was sent, and the copies are invalidated before
    /// the lease is extended.
    ///
    /// A primary that is cut off from its standbys does not know that one of them may have been
    /// promoted. So if commits wait for a standby, the lease counts from the last poll that one has
    /// confirmed. Behind a pooler, other polls may come from another server.
    async fn poll(
        &self,
        connection: &mut PgConnection,
        seen: &mut Option<Seen>,
        confirmed: &mut Confirmed,
    ) -> Result<()> {
        loop {
            let sent_at = self.lease.now();
            let confirm = confirmed.is_due(sent_at, self.bound);
            let reply = self.read(connection, seen.as_ref(), confirm).await?;
            match reply.changed_since(seen.as_ref()) {
                Some(changed) => {
                    for id in changed {
                        self.lease.changed(id);
                    }
                }
                None => self.lease.changed_all(),
            }
            *seen = Some(reply.seen);
            confirmed.is_required = reply.synchronous;
            if confirm {
                confirmed.last = Some(sent_at);
            }
            let from = if confirmed.is_required {
                confirmed.last
            } else {
                Some(sent_at)
            };
            if let Some(from) = from
                && !confirmed.is_due(sent_at, self.bound)
            {
                self.lease.extend(from + self.bound);
                return Ok(());
            }
        }
    }

    /// Reads the feed, in a transaction that a standby confirms if `confirm` is set.
    async fn read(
        &self,
        connection: &mut PgConnection,
        seen: Option<&Seen>,
        confirm: bool,
    ) -> Result<Reply> {
        let parts: Vec<String> = seen
            .map(|seen| seen.snapshot.unseen_conditions())
            .into_iter()
            .flatten()
            .map(|condition| UNSEEN.replace("{condition}", &condition))
            .collect();
        let unseen = if parts.is_empty() {
            "SELECT NULL AS id".into()
        } else {
            parts.join(" UNION ALL ")
        };
        let sql = in_schema(&self.statements.schema, &POLL.replace("{unseen}", &unseen))
            .replace("{is_this_store}", &self.statements.is_this_store)
            .replace("{version}", &VERSION.to_string())
            .replace("{limit}", &(MAX_CHANGES + 1).to_string());
        let rows = if confirm {
            confirmed(connection, &sql).await?
        } else {
            let read = sqlx::raw_sql(AssertSqlSafe(sql));
            read.fetch_all(connection).await?
        };
        let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        if row.try_get("recovery")? {
            return Err(Error::ReadOnly);
        }
        if !row.try_get::<bool, _>("is_this_store")? {
            return Err(Error::OtherStore);
        }
        let snapshot: String = row.try_get("snapshot")?;
        let snapshot = Snapshot::parse(&snapshot)
            .ok_or_else(|| Error::corrupt("the server returned a malformed snapshot"))?;
        let changed: Option<String> = row.try_get("changed")?;
        let changed: Vec<_> = changed.iter().flat_map(|ids| ids.split(',')).collect();
        let changed = (changed.len() <= MAX_CHANGES).then(|| {
            let ids = changed.iter().map(|id| KeyId::from_bytes(id.as_bytes()));
            ids.collect::<Result<Vec<KeyId>, _>>().ok()
        });
        Ok(Reply {
            seen: Seen {
                snapshot,
                server: row.try_get("server")?,
                server_time: row.try_get("server_time")?,
            },
            // A malformed id may belong to any record.
            changed: changed.flatten(),
            synchronous: row.try_get("synchronous")?,
        })
    }

    /// Deletes rows of transactions before this number, and returns how many.
    async fn prune(&self, connection: &mut PgConnection, end: u64) -> Result<u64> {
        let sql = in_schema(&self.statements.schema, PRUNE)
            .replace("{end}", &end.to_string())
            .replace("{limit}", &MAX_PRUNED.to_string());
        let pruned = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection);
        let pruned = timeout(self.bound, pruned).await;
        Ok(pruned.map_err(|_| Error::Timeout)??.rows_affected())
    }
}

impl Seen {
    /// Whether `next` is a later poll of the same server, and no row that only `next` could see can
    /// have been deleted in between.
    fn continues_in(&self, next: &Self) -> bool {
        self.elapsed_until(next)
            .is_some_and(|elapsed| elapsed < KEPT.as_secs_f64() / 2.0)
    }

    /// Returns the seconds until `next` on the clock of the server, or `None` unless `next` is a
    /// later poll of the same server.
    fn elapsed_until(&self, next: &Self) -> Option<f64> {
        let elapsed = next.server_time - self.server_time;
        let is_later =
            self.server == next.server && self.snapshot.end <= next.snapshot.end && elapsed >= 0.0;
        is_later.then_some(elapsed)
    }
}

impl Reply {
    /// Returns the records that others have changed since the poll `before`, or `None` if these may
    /// be any records.
    fn changed_since(&self, before: Option<&Seen>) -> Option<&[KeyId]> {
        let changed = self.changed.as_deref()?;
        before?.continues_in(&self.seen).then_some(changed)
    }
}

/// The poll after which rows are kept.
///
/// The feed does not delete rows by age, because a transaction of the host may end long after it
/// has written a row. It deletes a row ten minutes after a poll has seen that its transaction has
/// ended.
#[derive(Default)]
struct Horizon(Option<Seen>);

impl Horizon {
    /// Returns the number before which the rows of all transactions may be deleted, every ten
    /// minutes.
    fn advance(&mut self, seen: &Seen) -> Option<u64> {
        let elapsed = self.0.as_ref().and_then(|old| old.elapsed_until(seen));
        if elapsed.is_some_and(|elapsed| elapsed < KEPT.as_secs_f64()) {
            return None;
        }
        let old = self.0.replace(seen.clone())?;
        elapsed.map(|_| old.snapshot.begin)
    }
}

/// Reads the feed. The error of a different version of the tables is a division by zero. The
/// version of a sealed store is negative.
const POLL: &str = "SELECT pg_current_snapshot()::text AS snapshot, \
     1 / (SELECT count(*) FROM {schema}.settings \
     WHERE name = 'version' AND value IN ('{version}', '-{version}')) AS version, \
     pg_is_in_recovery() AS recovery, {is_this_store} AS is_this_store, \
     concat_ws(' ', (SELECT system_identifier FROM pg_control_system()), \
     CASE WHEN NOT pg_is_in_recovery() \
     THEN substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) END, \
     extract(epoch FROM pg_postmaster_start_time())) AS server, \
     extract(epoch FROM clock_timestamp())::float8 AS server_time, \
     current_setting('synchronous_standby_names') <> '' AS synchronous, \
     (SELECT string_agg(id, ',') FROM ({unseen}) AS unseen) AS changed";

/// The order makes the planner read the index, even if the statistics are old or missing.
const UNSEEN: &str =
    "(SELECT id FROM {schema}.changes WHERE {condition} ORDER BY xid LIMIT {limit})";

/// Other feeds may delete the same rows.
const PRUNE: &str = "BEGIN READ WRITE; DELETE FROM {schema}.changes WHERE ctid = ANY (ARRAY( \
     SELECT ctid FROM {schema}.changes WHERE xid < '{end}' ORDER BY xid LIMIT {limit} \
     FOR UPDATE SKIP LOCKED)); COMMIT";

#[cfg(test)]
mod tests;
