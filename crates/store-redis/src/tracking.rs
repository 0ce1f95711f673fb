//! Tracking of the changes that servers report, on which the store's lease relies.
//!
//! The store has one tracking connection to each primary. Redis sends an invalidation on it for
//! each record that changes ([client-side
//! caching](https://redis.io/docs/latest/develop/reference/client-side-caching/), broadcasting
//! mode).
//!
//! Three times a second, the store sends a heartbeat on the same connection: a write that also
//! reads back the value of the previous heartbeat. When the reply arrives, the lease is extended to
//! one second after the heartbeat was sent. Redis sends pushes and replies in order, so the
//! invalidations of all changes before the heartbeat have arrived before the reply.
//!
//! The lease ends, and all copies are stale, if a primary
//!
//! * does not reply,
//! * rejects the heartbeat because it is no longer a primary,
//! * does not have the value of the previous heartbeat, because its data was replaced, or
//! * has settings that make it unsuitable as a store. The store reads them every second.
//!
//! Reads from that server no longer count as current, and the store replaces all connections to it.
//! Each new connection checks the settings.
//!
//! If a server does not support tracking, the lease never holds, and each verification reads the
//! record from Redis. The store logs that once, checks the settings every second, and tries to
//! track the server again every 30 seconds.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use keywright_core::store::Lease;
use redis::{PushInfo, PushKind, Value, aio::MultiplexedConnection, cmd};
use tokio::{sync::Notify, task::AbortHandle, time};

use crate::{
    backoff::Backoff,
    connection::{self, Endpoint, TrackedRun, ok, within},
    error::{Error, Result},
    heartbeat::{Heartbeat, LEASE},
    names::Names,
};

/// The time between two heartbeats.
const INTERVAL: Duration = Duration::from_millis(333);

/// The number of heartbeats between two checks of a server's settings.
const CHECK_INTERVAL: u32 = 3;

/// The number of checks of a server that does not support tracking, one a second, before the store
/// tries again to track it.
const UNTRACKED_CHECKS: u32 = 30;

/// A handle for refreshing the slot map after a tracking connection was lost.
#[async_trait]
pub(crate) trait Refresh: Send + Sync {
    async fn refresh(self: Arc<Self>);
}

/// The tracked primaries, and the lease that holds while all of them are tracked.
#[derive(Debug)]
pub(crate) struct Tracking {
    lease: Arc<Lease>,
    /// The common prefix of the names whose changes are tracked.
    prefix: String,
    primaries: Mutex<HashMap<String, Primary>>,
    /// Whether the store has logged that a server does not support tracking.
    warned: AtomicBool,
}

#[derive(Debug)]
struct Primary {
    endpoint: Arc<Endpoint>,
    /// The time until which this primary allows the lease to hold. `None` if it is not tracked.
    until: Option<Instant>,
    task: AbortHandle,
}

impl Tracking {
    pub(crate) fn new(names: &Names, lease: &Arc<Lease>) -> Arc<Self> {
        Arc::new(Self {
            lease: Arc::clone(lease),
            prefix: names.record_prefix(),
            primaries: Mutex::default(),
            warned: AtomicBool::new(false),
        })
    }

    /// Tracks these primaries and no others.
    pub(crate) fn track(
        self: &Arc<Self>,
        endpoints: &[Arc<Endpoint>],
        refresh: &Weak<dyn Refresh>,
    ) {
        let mut primaries = self.primaries();
        let before = primaries.len();
        primaries.retain(|_, primary| {
            let stays = endpoints
                .iter()
                .any(|endpoint| Arc::ptr_eq(endpoint, &primary.endpoint));
            if !stays {
                primary.task.abort();
                primary.endpoint.set_tracked(None);
            }
            stays
        });
        let some_left = primaries.len() < before;
        for endpoint in endpoints {
            primaries.entry(endpoint.address()).or_insert_with(|| {
                let task = keep_tracking(Arc::clone(self), Arc::clone(endpoint), refresh.clone());
                Primary {
                    endpoint: Arc::clone(endpoint),
                    until: None,
                    task: tokio::spawn(task).abort_handle(),
                }
            });
        }
        if some_left {
            self.lease.changed_all();
        }
        self.update_lease(&primaries);
    }

    /// Records until when a primary allows the lease to hold.
    fn set_until(&self, endpoint: &Arc<Endpoint>, until: Option<Instant>) {
        let mut primaries = self.primaries();
        if let Some(primary) = primaries
            .values_mut()
            .find(|primary| Arc::ptr_eq(&primary.endpoint, endpoint))
        {
            primary.until = until;
            self.update_lease(&primaries);
        }
    }

    /// Extends the lease as far as all primaries allow, or ends it.
    fn update_lease(&self, primaries: &HashMap<String, Primary>) {
        let ends = primaries.values().map(|primary| primary.until);
        match ends.min().flatten() {
            Some(until) => self.lease.extend(until),
            None => self.lease.end(),
        }
    }

    fn primaries(&self) -> MutexGuard<'_, HashMap<String, Primary>> {
        self.primaries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs that a server does not support tracking, but only once.
    fn warn(&self, endpoint: &Endpoint, error: &Error) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                server = endpoint.address(),
                %error,
                "Redis rejects CLIENT TRACKING, so no verification is cached: allow the user the \
                 command client|tracking, or use a server that supports it",
            );
        }
    }

    /// Tracks a primary until its connection is lost, its data is replaced or its settings become
    /// unsuitable. Returns an error if no heartbeat succeeded.
    async fn follow(&self, endpoint: &Arc<Endpoint>) -> Result<()> {
        let lease = &self.lease;
        let closed = Arc::new(Notify::new());
        let on_push = push_handler(Arc::clone(lease), Arc::clone(&closed));
        let mut connection = endpoint
            .open(connection::config().set_push_sender(on_push))
            .await?;
        let run_id: Arc<str> = endpoint.check(&mut connection).await?.run_id.into();
        let mut track = cmd("CLIENT");
        track
            .arg("TRACKING")
            .arg("ON")
            .arg("BCAST")
            .arg("PREFIX")
            .arg(&self.prefix);
        let tracking = connection.send_packed_command(&track);
        if let Err(error) = ok(within(LEASE, tracking).await??) {
            if error.is_unsupported() {
                self.warn(endpoint, &error);
                watch_settings(&mut connection, endpoint, &closed).await?;
            }
            return Err(error);
        }
        let mut heartbeat = Heartbeat::start(&mut connection, &endpoint.heartbeat()).await?;
        // Earlier changes were not tracked. From now on, a heartbeat detects if the data is
        // replaced.
        lease.changed_all();
        let mut was_tracked = false;
        let mut unchecked = 0;
        loop {
            let sent = lease.now();
            let result = async {
                if unchecked == CHECK_INTERVAL {
                    unchecked = 0;
                    if endpoint.check(&mut connection).await?.run_id != *run_id {
                        return Err(Error::DataReplaced);
                    }
                }
                unchecked += 1;
                heartbeat.send(&mut connection).await
            };
            match result.await {
                Ok(()) => {
                    let until = sent + LEASE;
                    let run_id = Arc::clone(&run_id);
                    endpoint.set_tracked(Some(TrackedRun { run_id, until }));
                    self.set_until(endpoint, Some(until));
                    was_tracked = true;
                }
                Err(_) if was_tracked => return Ok(()),
                Err(error) => return Err(error),
            }
            let next = time::Instant::from_std(sent + INTERVAL);
            if time::timeout_at(next, closed.notified()).await.is_ok() {
                return Ok(());
            }
        }
    }
}

/// Checks the settings of a server that does not support tracking, until it is time to try tracking
/// again.
async fn watch_settings(
    connection: &mut MultiplexedConnection,
    endpoint: &Endpoint,
    closed: &Notify,
) -> Result<()> {
    for _ in 0..UNTRACKED_CHECKS {
        if time::timeout(LEASE, closed.notified()).await.is_ok() {
            return Ok(());
        }
        endpoint.check(connection).await?;
    }
    Ok(())
}

/// Tracks a primary, and reconnects until the store is dropped.
async fn keep_tracking(
    tracking: Arc<Tracking>,
    endpoint: Arc<Endpoint>,
    refresh: Weak<dyn Refresh>,
) {
    let mut backoff = Backoff::new();
    loop {
        backoff.pause().await;
        let was_tracked = tracking.follow(&endpoint).await.is_ok();
        endpoint.set_tracked(None);
        tracking.set_until(&endpoint, None);
        // The other connections have probably failed for the same reason, or the server has become
        // unsuitable. A new connection checks that.
        endpoint.discard_all();
        let Some(refresh) = refresh.upgrade() else {
            return;
        };
        refresh.refresh().await;
        if was_tracked {
            backoff.succeed();
        }
        backoff.fail();
    }
}

/// Returns the handler of pushes. The driver calls it in the order of arrival, and before it
/// returns any reply that arrived later.
fn push_handler(
    lease: Arc<Lease>,
    closed: Arc<Notify>,
) -> impl Fn(PushInfo) -> Result<(), redis::aio::SendError> + Send + Sync + 'static {
    move |push| {
        match push.kind {
            PushKind::Invalidate => invalidate(&lease, &push.data),
            PushKind::Disconnection => {
                lease.end();
                closed.notify_one();
            }
            _ => {}
        }
        Ok(())
    }
}

fn invalidate(lease: &Lease, data: &[Value]) {
    let Some(Value::Array(names)) = data.first() else {
        // Null: the whole database was flushed.
        lease.changed_all();
        return;
    };
    for name in names {
        match name {
            Value::BulkString(name) => match Names::id_of_record(name) {
                Some(id) => lease.changed(&id),
                None => lease.changed_all(),
            },
            _ => lease.changed_all(),
        }
    }
}

#[cfg(test)]
mod tests {
    use keywright_core::KeyId;
    use redis::Client;

    use super::*;
    use crate::config::Tolerance;

    struct NoRefresh;

    #[async_trait]
    impl Refresh for NoRefresh {
        async fn refresh(self: Arc<Self>) {}
    }

    /// When a primary leaves, another primary takes over its slots, and the invalidations that its
    /// connection had not delivered yet are lost.
    #[tokio::test]
    async fn a_copy_from_before_a_primary_left_is_stale() {
        let lease = Arc::new(Lease::lapsed());
        let [stays, leaves] = [1, 2].map(|port| {
            let client = Client::open(("127.0.0.1", port)).unwrap();
            Arc::new(Endpoint::new(client, Tolerance::default(), &lease))
        });
        let tracking = Tracking::new(&Names::new("kw").unwrap(), &lease);
        let no_refresh: Weak<dyn Refresh> = Weak::<NoRefresh>::new();
        tracking.track(&[Arc::clone(&stays), Arc::clone(&leaves)], &no_refresh);
        // The tasks do not run before this test awaits something.
        let until = Some(lease.now() + 3600 * LEASE);
        tracking.set_until(&stays, until);
        let id = KeyId::parse("key_0U50000000000000").unwrap();
        assert!(!lease.holds(&id, lease.stamp(&id)), "one is not tracked");
        tracking.set_until(&leaves, until);
        let stamp = lease.stamp(&id);
        assert!(lease.holds(&id, stamp));
        tracking.track(&[stays], &no_refresh);
        assert!(!lease.holds(&id, stamp), "a copy outlives its primary");
        assert!(lease.holds(&id, lease.stamp(&id)), "no copy is usable");
    }
}
