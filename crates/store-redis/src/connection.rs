//! The connections to one server.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use keywright_core::store::Lease;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, PushInfo, PushKind, Value,
    aio::{MultiplexedConnection, SendError},
};

use crate::{
    backoff::Backoff,
    config::Tolerance,
    error::{Error, Result},
    server_info::ServerInfo,
};

/// The maximum time to connect, and the maximum time to wait for `INFO` after that.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection to a server that was checked to be suitable as a store.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) redis: MultiplexedConnection,
    run_id: Arc<str>,
    /// Whether the server has closed the connection. Requests must no longer be sent on it: they
    /// would be lost.
    closed: Arc<AtomicBool>,
    /// The endpoint's generation when the connection was opened.
    generation: u64,
}

/// A run of a server whose changes are tracked.
pub(crate) struct TrackedRun {
    /// The server's `run_id`. After a failover, the same address may lead to another server.
    pub(crate) run_id: Arc<str>,
    /// How long the server is assumed to be the primary, after its last successful write.
    pub(crate) until: Instant,
}

/// One server, identified by its address, with the connection that requests share.
pub(crate) struct Endpoint {
    client: Client,
    tolerance: Tolerance,
    /// The lease of the store. Only its clock is used here.
    lease: Arc<Lease>,
    shared: Mutex<Option<Connection>>,
    /// Locked by the caller that connects, so that only one connects at a time.
    connecting: tokio::sync::Mutex<Backoff>,
    tracked: Mutex<Option<TrackedRun>>,
    /// Incremented to discard all connections.
    generation: AtomicU64,
    /// A name in one of the server's slots, for writes that only show that the server accepts
    /// writes. The names of its heartbeats begin with it.
    heartbeat: Mutex<Vec<u8>>,
    /// Whether the server has all slots, so that one command or script may use names of several
    /// slots.
    has_all_slots: AtomicBool,
}

impl Endpoint {
    pub(crate) fn new(client: Client, tolerance: Tolerance, lease: &Arc<Lease>) -> Self {
        Self {
            client,
            tolerance,
            lease: Arc::clone(lease),
            shared: Mutex::default(),
            connecting: tokio::sync::Mutex::new(Backoff::new()),
            tracked: Mutex::default(),
            generation: AtomicU64::new(0),
            heartbeat: Mutex::default(),
            has_all_slots: AtomicBool::new(false),
        }
    }

    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn host(&self) -> String {
        match self.client.get_connection_info().addr() {
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host.clone(),
            _ => String::new(),
        }
    }

    /// Returns the address in the form that a cluster uses.
    pub(crate) fn address(&self) -> String {
        self.client.get_connection_info().addr().to_string()
    }

    pub(crate) fn has_all_slots(&self) -> bool {
        self.has_all_slots.load(Ordering::Relaxed)
    }

    pub(crate) fn set_has_all_slots(&self, has_all_slots: bool) {
        self.has_all_slots.store(has_all_slots, Ordering::Relaxed);
    }

    pub(crate) fn heartbeat(&self) -> Vec<u8> {
        lock(&self.heartbeat).clone()
    }

    pub(crate) fn set_heartbeat(&self, name: Vec<u8>) {
        *lock(&self.heartbeat) = name;
    }

    /// Whether the server at the other end of this connection is still the primary, and its changes
    /// are tracked.
    pub(crate) fn is_tracked(&self, connection: &Connection) -> bool {
        let now = self.lease.now();
        lock(&self.tracked)
            .as_ref()
            .is_some_and(|run| *run.run_id == *connection.run_id && now < run.until)
    }

    pub(crate) fn set_tracked(&self, run: Option<TrackedRun>) {
        *lock(&self.tracked) = run;
    }

    /// Whether there is a shared connection.
    pub(crate) fn is_connected(&self) -> bool {
        self.shared().is_some()
    }

    /// Returns the shared connection, or opens one.
    ///
    /// Concurrent callers take turns: each makes one attempt after a pause that grows with the
    /// number of failures. Each caller limits its wait with its own deadline.
    pub(crate) async fn connection(&self) -> Result<Connection> {
        if let Some(connection) = self.shared() {
            return Ok(connection);
        }
        let mut backoff = self.connecting.lock().await;
        if let Some(connection) = self.shared() {
            return Ok(connection);
        }
        backoff.pause().await;
        match self.connect().await {
            Ok(connection) => {
                backoff.succeed();
                *lock(&self.shared) = Some(connection.clone());
                Ok(connection)
            }
            Err(error) => {
                backoff.fail();
                Err(error)
            }
        }
    }

    fn shared(&self) -> Option<Connection> {
        let connection = lock(&self.shared).clone();
        connection.filter(|connection| self.is_usable(connection))
    }

    /// Whether the connection is open and was not discarded.
    pub(crate) fn is_usable(&self, connection: &Connection) -> bool {
        !connection.closed.load(Ordering::Relaxed)
            && connection.generation == self.generation.load(Ordering::Acquire)
    }

    /// Opens a separate connection, and checks that the server is suitable as a store.
    pub(crate) async fn connect(&self) -> Result<Connection> {
        // This also rejects a connection that was discarded while it was being opened.
        let generation = self.generation.load(Ordering::Acquire);
        let closed = Arc::new(AtomicBool::new(false));
        let on_push = {
            let closed = Arc::clone(&closed);
            move |push: PushInfo| {
                if push.kind == PushKind::Disconnection {
                    closed.store(true, Ordering::Relaxed);
                }
                Ok::<(), SendError>(())
            }
        };
        let mut redis = self.open(config().set_push_sender(on_push)).await?;
        let info = self.check(&mut redis).await?;
        Ok(Connection {
            redis,
            run_id: info.run_id.into(),
            closed,
            generation,
        })
    }

    /// Checks that the server is suitable as a store, and returns what it reports about itself.
    pub(crate) async fn check(&self, redis: &mut MultiplexedConnection) -> Result<ServerInfo> {
        let info = within(CONNECT_TIMEOUT, ServerInfo::query(redis)).await??;
        info.check(self.tolerance)?;
        Ok(info)
    }

    /// Opens a separate connection without any checks.
    pub(crate) async fn open(
        &self,
        config: AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection> {
        Ok(self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?)
    }

    /// Stops sharing a connection that has failed. Requests that await replies on it continue.
    pub(crate) fn discard(&self, failed: &Connection) {
        let mut shared = lock(&self.shared);
        if shared
            .as_ref()
            .is_some_and(|connection| Arc::ptr_eq(&connection.closed, &failed.closed))
        {
            *shared = None;
        }
    }

    /// Discards all connections, because one to the same server has failed. Requests that are
    /// waiting for replies on them continue.
    pub(crate) fn discard_all(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        *lock(&self.shared) = None;
    }
}

/// Returns the configuration of all connections.
///
/// There is no response timeout. Callers limit their waits themselves, since only they know whether
/// a request may be sent again.
pub(crate) fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(None)
        .set_pipeline_buffer_size(1024)
}

/// Awaits a future for at most `limit`.
pub(crate) async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(limit, future)
        .await
        .map_err(|_| Error::TimedOut)
}

/// Turns a server's error into an `Err`.
pub(crate) fn ok(value: Value) -> Result<Value> {
    match value {
        Value::ServerError(error) => Err(Error::Redis(error.into())),
        value => Ok(value),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code panics while it holds one of these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client may contain a password.
        f.debug_struct("Endpoint")
            .field("address", &self.address())
            .field("tracked", &lock(&self.tracked).is_some())
            .finish_non_exhaustive()
    }
}
