//! One server, and the connection to it that requests share.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    backoff::Backoff,
    batch::{Batches, Manner},
    config::Terms,
    error::{Error, Result},
    server::Facts,
};
use keywright_core::Lease;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, PushInfo, PushKind, Value,
    aio::{MultiplexedConnection, SendError},
};

/// Longest that a connection may take to be made, and then to tell what it leads to.
const CONNECT: Duration = Duration::from_secs(1);

/// A server, found under one address.
pub(crate) struct Node {
    client: Client,
    terms: Terms,
    /// Whose clock is the one that leases are measured by.
    lease: Arc<Lease>,
    live: Mutex<Option<Live>>,
    connecting: tokio::sync::Mutex<Backoff>,
    heard: Mutex<Option<Heard>>,
    /// A name in one of its slots, for what is written for the sake of writing.
    own_name: Mutex<Vec<u8>>,
    /// Whether it has all slots, and so can be asked for names of several at once.
    alone: AtomicBool,
    shared: Batches,
    /// What makes changes that replicas confirm, where any are wanted.
    confirmed: Option<Batches>,
}

/// A server whose changes are heard of.
pub(crate) struct Heard {
    /// What this run of it calls itself: behind one address there may be another one after a failover.
    pub(crate) run: Arc<str>,
    /// How long it is trusted to be the primary still, since it could write.
    pub(crate) until: Instant,
}

/// A connection, and what the server at its other end calls itself.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) connection: MultiplexedConnection,
    run: Arc<str>,
    /// Whether the server has ended it: what is sent on it after that is lost for nothing.
    ended: Arc<AtomicBool>,
}

impl Live {
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}

impl Node {
    pub(crate) fn start(client: Client, terms: Terms, lease: &Arc<Lease>) -> Arc<Self> {
        let manner = |replicas| Manner {
            replicas,
            patience: terms.deadline / 2,
        };
        Arc::new_cyclic(|node| Self {
            client,
            terms,
            lease: Arc::clone(lease),
            alone: AtomicBool::new(false),
            shared: Batches::start(node.clone(), manner(0)),
            confirmed: (terms.replicas > 0)
                .then(|| Batches::start(node.clone(), manner(terms.replicas))),
            live: Mutex::default(),
            connecting: tokio::sync::Mutex::new(Backoff::new()),
            heard: Mutex::default(),
            own_name: Mutex::default(),
        })
    }

    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) const fn terms(&self) -> Terms {
        self.terms
    }

    /// What sends requests; those that are to be `confirmed` go another way where replicas are wanted.
    pub(crate) fn batches(&self, confirmed: bool) -> &Batches {
        match &self.confirmed {
            Some(batches) if confirmed => batches,
            _ => &self.shared,
        }
    }

    pub(crate) fn is_alone(&self) -> bool {
        self.alone.load(Ordering::Relaxed)
    }

    pub(crate) fn set_alone(&self) {
        self.alone.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.live().is_some()
    }

    pub(crate) fn host(&self) -> String {
        match self.client.get_connection_info().addr() {
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host.clone(),
            _ => String::new(),
        }
    }

    /// The address, as a cluster tells it.
    pub(crate) fn address(&self) -> String {
        self.client.get_connection_info().addr().to_string()
    }

    /// Whether the changes are heard of that are made on the server of this connection, and that is
    /// the primary still.
    pub(crate) fn hears_of(&self, live: &Live) -> bool {
        let now = self.lease.now();
        lock(&self.heard)
            .as_ref()
            .is_some_and(|heard| *heard.run == *live.run && now < heard.until)
    }

    pub(crate) fn set_heard(&self, heard: Option<Heard>) {
        *lock(&self.heard) = heard;
    }

    pub(crate) fn own_name(&self) -> Vec<u8> {
        lock(&self.own_name).clone()
    }

    pub(crate) fn set_own_name(&self, name: Vec<u8>) {
        *lock(&self.own_name) = name;
    }

    /// The connection that there is, or a new one. Callers that find none wait for one attempt
    /// after another, with pauses that grow; each has its own deadline around this.
    pub(crate) async fn connection(&self) -> Result<Live> {
        if let Some(live) = self.live() {
            return Ok(live);
        }
        let mut backoff = self.connecting.lock().await;
        if let Some(live) = self.live() {
            return Ok(live);
        }
        backoff.pause().await;
        match self.connect().await {
            Ok(live) => {
                backoff.succeed();
                *lock(&self.live) = Some(live.clone());
                Ok(live)
            }
            Err(error) => {
                backoff.fail();
                Err(error)
            }
        }
    }

    /// A connection of its own, to a server that keeps what it is given.
    pub(crate) async fn connect(&self) -> Result<Live> {
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let watch = move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                end.store(true, Ordering::Relaxed);
            }
            Ok::<(), SendError>(())
        };
        let mut connection = self.open(config().set_push_sender(watch)).await?;
        let facts = within(CONNECT, Facts::ask(&mut connection)).await??;
        facts.check(self.terms.tolerance)?;
        Ok(Live {
            connection,
            run: facts.run.into(),
            ended,
        })
    }

    pub(crate) async fn open(
        &self,
        config: AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection> {
        Ok(self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?)
    }

    fn live(&self) -> Option<Live> {
        let live = lock(&self.live).clone();
        live.filter(|live| !live.has_ended())
    }

    /// Gives up a connection that has failed. Requests that wait for their answers on it go on.
    pub(crate) fn discard(&self, failed: &Live) {
        let mut live = lock(&self.live);
        if live
            .as_ref()
            .is_some_and(|it| Arc::ptr_eq(&it.ended, &failed.ended))
        {
            *live = None;
        }
    }

    /// Gives up the connection: another one to the same server has not been answered any more.
    pub(crate) fn suspect(&self) {
        *lock(&self.live) = None;
    }
}

/// Deadlines are kept elsewhere, by who knows whether a thing may be sent again.
pub(crate) fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(None)
        .set_pipeline_buffer_size(1024)
}

/// What comes of it, if that comes in time.
pub(crate) async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(limit, work)
        .await
        .map_err(|_| Error::TimedOut)
}

/// The answer, or the error that it is.
pub(crate) fn answer(value: Value) -> Result<Value> {
    match value {
        Value::ServerError(error) => Err(Error::Redis(error.into())),
        value => Ok(value),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it has one of these.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client knows a password.
        f.debug_struct("Node")
            .field("address", &self.address())
            .field("heard", &lock(&self.heard).is_some())
            .finish_non_exhaustive()
    }
}
