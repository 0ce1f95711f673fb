//! The feed of changes that other processes make, which extends the lease.
//!
//! Each change appends a row to the table `changes` with the number of its transaction. The feed
//! polls: one statement returns the new rows and the snapshot that it saw. A row is new if the
//! snapshot of the previous poll did not see its transaction. So no row is missed, in whatever
//! order transactions commit.
//!
//! The feed does not use `NOTIFY`: it takes a lock of the whole database at each commit, and
//! notifications are lost by poolers and during a reconnect.

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
    error::{Error, Result},
    schema::{VERSION, in_schema},
    schema_name::SchemaName,
    snapshot::Snapshot,
};

/// The number of polls in the staleness bound.
const POLLS_IN_BOUND: u32 = 5;

/// The number of heartbeats in the staleness bound, if there are synchronous standbys.
const HEARTBEATS_IN_BOUND: u32 = 3;

/// A poll with more changed records makes the copies of all records stale.
const MAX_CHANGES: usize = 1000;

/// After this time without an operation, the feed stops polling, so that a database without work
/// can be suspended. The store sees no verification of a cached key, but last uses are written at
/// least once a minute while keys are used, so this is longer. The next operation wakes the feed.
const IDLE: Duration = Duration::from_secs(120);

/// How long the rows of ended transactions are kept, at least. That is ten times the largest bound.
/// A poll that comes later than half of it makes all copies stale.
const KEPT: Duration = Duration::from_secs(600);

const _: () = assert!(KEPT.as_secs() >= 10 * MAX_STALENESS_BOUND.as_secs());

/// The maximum number of old rows that are deleted after a poll.
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
    task: Option<AbortHandle>,
}

impl Feed {
    /// Starts the feed on the current runtime.
    pub(crate) fn start(pool: &PgPool, config: &PostgresConfig, lease: &Arc<Lease>) -> Self {
        let activity = Arc::new(Activity::new(lease.now()));
        let poller = Poller {
            pool: pool.clone(),
            options: config.feed_options.clone(),
            schema: config.schema.clone(),
            bound: config.staleness_bound,
            lease: Arc::clone(lease),
            activity: Arc::clone(&activity),
        };
        let task = tokio::spawn(poller.run());
        Self {
            activity,
            task: Some(task.abort_handle()),
        }
    }

    /// Creates a feed that never extends the lease.
    pub(crate) fn none(lease: &Lease) -> Self {
        Self {
            activity: Arc::new(Activity::new(lease.now())),
            task: None,
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

struct Poller {
    pool: PgPool,
    /// Those of the pool if `None`. The host may replace them there, for example the password.
    options: Option<PgConnectOptions>,
    schema: SchemaName,
    bound: Duration,
    lease: Arc<Lease>,
    activity: Arc<Activity>,
}

/// The last poll of a connection.
struct Seen {
    snapshot: Snapshot,
    /// The server: the identifier of its database system, its timeline, which a promotion changes,
    /// and the time of its start. A pooler or a proxy may lead to another one.
    server: String,
    /// The time of the server, in seconds.
    server_time: f64,
}

/// Old rows that can be deleted later: those of transactions before a number.
///
/// The age of a row does not count, because the transaction of a row may end long after it wrote
/// the row. These transactions had ended at the time of the mark, so every feed that has polled
/// since then has seen their rows.
struct PruneMark {
    server: String,
    made_at: Instant,
    before: u64,
}

/// The reply to a poll.
struct Reply {
    seen: Seen,
    /// The ids of changed records, or `None` if there are too many.
    changed: Option<Vec<KeyId>>,
    /// Whether a commit waits for a standby.
    synchronous: bool,
}

impl Poller {
    /// Polls until the host closes the pool.
    async fn run(self) {
        let mut closed = self.pool.close_event();
        // The error is that the pool was closed.
        let _ = closed.do_until(self.poll_forever()).await;
    }

    async fn poll_forever(&self) {
        let retry = self.bound / POLLS_IN_BOUND;
        loop {
            let options = self
                .options
                .clone()
                .unwrap_or_else(|| (*self.pool.connect_options()).clone());
            match timeout(self.bound, PgConnection::connect_with(&options)).await {
                Ok(Ok(connection)) => {
                    let error = self.poll_repeatedly(connection).await;
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
    async fn poll_repeatedly(&self, mut connection: PgConnection) -> Error {
        let mut seen = None;
        let mut heartbeat_at = None;
        let mut mark = None;
        loop {
            if self.activity.is_idle(self.lease.now()) {
                self.activity.resumed.notified().await;
                seen = None;
            }
            let polled = self.poll(&mut connection, &mut seen, &mut heartbeat_at);
            let done = match timeout(self.bound, polled).await {
                Ok(Ok(())) => self.prune(&mut connection, seen.as_ref(), &mut mark).await,
                Ok(Err(error)) => Err(error),
                Err(_) => Err(Error::Timeout),
            };
            if let Err(error) = done {
                return error;
            }
            sleep(self.bound / POLLS_IN_BOUND).await;
        }
    }

    /// Invalidates the copies of records that others have changed, and extends the lease.
    ///
    /// The lease counts from before the statement was sent, and the copies are invalidated before
    /// the lease is extended.
    async fn poll(
        &self,
        connection: &mut PgConnection,
        seen: &mut Option<Seen>,
        heartbeat_at: &mut Option<Instant>,
    ) -> Result<()> {
        let mut sent_at = self.lease.now();
        let reply = self.read(connection, seen.as_ref()).await?;
        match (&*seen, &reply.changed) {
            (Some(before), Some(changed)) if before.continues_in(&reply.seen) => {
                for id in changed {
                    self.lease.changed(id);
                }
            }
            _ => self.lease.changed_all(),
        }
        *seen = Some(reply.seen);
        if reply.synchronous {
            // A primary that is cut off from its standbys does not know that one of them may have
            // been promoted. But its heartbeats are no longer confirmed.
            let is_due = heartbeat_at.is_none_or(|last| {
                sent_at.saturating_duration_since(last) > self.bound / HEARTBEATS_IN_BOUND
            });
            if is_due {
                let began = self.lease.now();
                sqlx::raw_sql(HEARTBEAT).execute(&mut *connection).await?;
                *heartbeat_at = Some(began);
            }
            sent_at = heartbeat_at.map_or(sent_at, |last| last.min(sent_at));
        }
        self.lease.extend(sent_at + self.bound);
        Ok(())
    }

    async fn read(&self, connection: &mut PgConnection, seen: Option<&Seen>) -> Result<Reply> {
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
        let sql = in_schema(&self.schema, &POLL.replace("{unseen}", &unseen))
            .replace("{version}", &VERSION.to_string())
            .replace("{limit}", &(MAX_CHANGES + 1).to_string());
        let row = sqlx::raw_sql(AssertSqlSafe(sql))
            .fetch_one(connection)
            .await?;
        if row.try_get("recovery")? {
            return Err(Error::ReadOnly);
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

    /// Deletes old rows, and makes a new mark when all rows of the last one are deleted.
    async fn prune(
        &self,
        connection: &mut PgConnection,
        seen: Option<&Seen>,
        mark: &mut Option<PruneMark>,
    ) -> Result<()> {
        let Some(seen) = seen else { return Ok(()) };
        let now = self.lease.now();
        let is_old = |mark: &PruneMark| now.saturating_duration_since(mark.made_at) >= KEPT;
        let deleted = match mark {
            Some(mark) if mark.server == seen.server && !is_old(mark) => return Ok(()),
            Some(mark) if mark.server == seen.server => {
                let sql = in_schema(&self.schema, PRUNE)
                    .replace("{before}", &mark.before.to_string())
                    .replace("{limit}", &MAX_PRUNED.to_string());
                let pruned = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection);
                let pruned = timeout(self.bound, pruned).await;
                pruned.map_err(|_| Error::Timeout)??.rows_affected()
            }
            _ => 0,
        };
        if deleted < MAX_PRUNED {
            *mark = Some(PruneMark {
                server: seen.server.clone(),
                made_at: now,
                before: seen.snapshot.start,
            });
        }
        Ok(())
    }
}

impl Seen {
    /// Whether `next` is a later poll of the same server, and no row can have been deleted in
    /// between.
    fn continues_in(&self, next: &Self) -> bool {
        let elapsed = next.server_time - self.server_time;
        self.server == next.server
            && self.snapshot.end <= next.snapshot.end
            && (0.0..KEPT.as_secs_f64() / 2.0).contains(&elapsed)
    }
}

/// Reads the feed. The error of a different version of the tables is a division by zero.
const POLL: &str = "SELECT pg_current_snapshot()::text AS snapshot, \
     1 / (SELECT count(*) FROM {schema}.settings \
     WHERE name = 'version' AND value = '{version}') AS version, \
     pg_is_in_recovery() AS recovery, \
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

/// Writes to the log of the server and to nothing else, and waits for the standbys.
const HEARTBEAT: &str = "BEGIN READ WRITE; SET LOCAL synchronous_commit = on; \
     SELECT pg_logical_emit_message(true, 'keywright', ''); COMMIT";

/// Other feeds may delete the same rows.
const PRUNE: &str = "BEGIN READ WRITE; DELETE FROM {schema}.changes WHERE ctid = ANY (ARRAY( \
     SELECT ctid FROM {schema}.changes WHERE xid < '{before}' ORDER BY xid LIMIT {limit} \
     FOR UPDATE SKIP LOCKED)); COMMIT";

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(end: u64, server: &str, server_time: f64) -> Seen {
        Seen {
            snapshot: Snapshot {
                start: end,
                end,
                in_progress: Vec::new(),
            },
            server: server.into(),
            server_time,
        }
    }

    #[test]
    fn a_poll_continues_only_on_the_same_server_and_before_rows_are_deleted() {
        let first = seen(10, "7000 00000001 1.5", 1000.0);
        for (end, server, time, continues) in [
            (10, "7000 00000001 1.5", 1000.1, true),
            (90, "7000 00000001 1.5", 1299.0, true),
            // A transaction number that moved back.
            (9, "7000 00000001 1.5", 1000.1, false),
            // Another database system, a promoted one, and one that was restarted.
            (90, "7001 00000001 1.5", 1000.1, false),
            (90, "7000 00000002 1.5", 1000.1, false),
            (90, "7000 00000001 1.6", 1000.1, false),
            // A poll that came too late, and a clock that was set back.
            (90, "7000 00000001 1.5", 1300.0, false),
            (90, "7000 00000001 1.5", 999.9, false),
        ] {
            let next = seen(end, server, time);
            assert_eq!(
                first.continues_in(&next),
                continues,
                "{end} {server} {time}"
            );
        }
    }

    #[test]
    fn a_store_that_is_not_used_for_two_minutes_is_idle_until_it_is_used() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let activity = Activity::new(start);
        assert!(!activity.is_idle(after(120)));
        assert!(activity.is_idle(after(121)));
        activity.mark(after(200));
        assert!(!activity.is_idle(after(320)));
        assert!(activity.is_idle(after(321)));
        // The operation wakes the feed.
        let mut resumed = std::pin::pin!(activity.resumed.notified());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(resumed.as_mut().poll(&mut context).is_ready());
    }
}
