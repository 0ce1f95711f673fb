//! The store: runs operations on a separate thread.

use std::{fmt, sync::Arc, time::Instant};

use async_trait::async_trait;
use keywright_core::{
    Environment, Event, EventId, EventPage, KeyId, ListEvents, ListKeys, Page, Prefix, Reach,
    Revocation, Timestamp, VersionedKey, Workspace,
    store::{
        Alias, Credential, Durability, KeyStore, Lease, Purge, PurgeEvents, Record, Reservation,
        Reserved, Rotation, Settings, StoreError,
    },
};
use tokio::{runtime::Runtime, task::JoinSet};

use crate::{
    config::RedisConfig,
    error::{Error, OpenError, Result},
    operations::{
        self, EventListContext, EventPurgeContext, ListContext, OrphanEntries, PurgePosition,
    },
    record::layout::FORMAT_VERSION,
    server_info::ServerInfo,
    servers::Servers,
    walk_limit::WalkLimits,
};

/// The number of threads. One thread can saturate a Redis server.
const THREADS: usize = 1;

/// A [`KeyStore`] in Redis.
pub struct RedisStore {
    threads: Threads,
    servers: Arc<Servers>,
    lease: Arc<Lease>,
    orphans: Arc<OrphanEntries<KeyId>>,
    event_orphans: Arc<OrphanEntries<EventId>>,
    event_purge: Arc<PurgePosition>,
    limits: Arc<WalkLimits>,
    durability: Durability,
}

impl RedisStore {
    /// Connects to the servers, and checks that they are suitable as a store.
    ///
    /// Any executor may poll the future.
    ///
    /// # Errors
    ///
    /// * [`OpenError::Url`] or [`OpenError::Namespace`] if the configuration is invalid
    /// * [`OpenError::Unreachable`] if no server accepts a connection and the user
    /// * [`OpenError::Unfit`] if a server loses writes
    /// * [`OpenError::NewerFormat`] if a newer program has written to the store
    /// * [`OpenError::Threads`] if the store's thread cannot be started
    pub async fn connect(config: RedisConfig) -> Result<Self, OpenError> {
        let parsed = config.parse()?;
        let threads = Threads::start().map_err(OpenError::Threads)?;
        let lease = Arc::new(Lease::lapsed());
        let opening = threads.run({
            let lease = Arc::clone(&lease);
            async move {
                let servers = Servers::discover(parsed, &lease).await?;
                let format = operations::format(&servers).await?;
                let durability = durability(&servers).await?;
                Ok((servers, format, durability))
            }
        });
        let (servers, format, durability) = opening.await.map_err(|error| match error {
            Error::Unfit(unfit) => OpenError::Unfit(unfit),
            other => OpenError::Unreachable(Box::new(other)),
        })?;
        if format != FORMAT_VERSION.to_string() {
            return Err(OpenError::NewerFormat { found: format });
        }
        Ok(Self {
            threads,
            servers,
            lease,
            orphans: Arc::default(),
            event_orphans: Arc::default(),
            event_purge: Arc::default(),
            limits: Arc::default(),
            durability,
        })
    }

    /// Runs an operation on the store's thread.
    pub(crate) async fn run<T, F>(
        &self,
        operation: impl FnOnce(Arc<Servers>, Arc<Lease>) -> F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let future = operation(Arc::clone(&self.servers), Arc::clone(&self.lease));
        Ok(self.threads.run(future).await?)
    }
}

/// Returns the weakest durability of all primaries.
async fn durability(servers: &Arc<Servers>) -> Result<Durability> {
    let mut weakest = Durability::HostCrash;
    for node in servers.primaries() {
        let mut connection = node.endpoint.connection().await?;
        let info = ServerInfo::query(&mut connection.redis).await?;
        weakest = weakest.min(info.durability(&mut connection.redis).await);
    }
    Ok(weakest)
}

/// The async runtime of the store.
struct Threads(Option<Runtime>);

impl Threads {
    fn start() -> std::io::Result<Self> {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("kw-redis")
            .enable_all()
            .build()
            .map(|runtime| Self(Some(runtime)))
    }

    /// Runs a future to its end, even if the caller drops the returned future.
    async fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let Some(runtime) = &self.0 else {
            return Err(Error::Stopped);
        };
        runtime.spawn(future).await.map_err(|_| Error::Stopped)?
    }

    /// Runs a future until it ends or the caller drops the returned future.
    async fn run_until_dropped<T: Send + 'static>(
        &self,
        future: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let Some(runtime) = &self.0 else {
            return Err(Error::Stopped);
        };
        // Dropping the set aborts its task.
        let mut task = JoinSet::new();
        task.spawn_on(future, runtime.handle());
        let result = task.join_next().await;
        result.and_then(Result::ok).ok_or(Error::Stopped)?
    }

    /// Drops a future at a deadline. Any executor may poll it, because the timer belongs to the
    /// store's runtime.
    async fn limit<T>(&self, deadline: Instant, future: impl Future<Output = T>) -> Result<T> {
        let limited = {
            let _entered = self.0.as_ref().ok_or(Error::Stopped)?.enter();
            tokio::time::timeout_at(deadline.into(), future)
        };
        limited.await.map_err(|_| Error::TimedOut)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // This may run on a thread of an executor, which must not block.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[async_trait]
impl KeyStore for RedisStore {
    async fn insert(
        &self,
        record: &Record,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let record = record.clone();
        let event = event.cloned();
        self.run(|servers, lease| async move {
            operations::insert(&servers, &lease, &record, now, event.as_ref()).await
        })
        .await
    }

    async fn find(&self, id: &KeyId) -> Result<Option<Record>, StoreError> {
        let deadline = self.servers.deadline();
        // Most calls succeed here, without a switch to the store's thread.
        let at_once = operations::find_at_once(&self.servers, id);
        if let Some(found) = self.threads.limit(deadline, at_once).await? {
            return Ok(found?);
        }
        let id = *id;
        let (servers, lease) = (Arc::clone(&self.servers), Arc::clone(&self.lease));
        // Boxed, because this future is large and rare.
        let finding =
            Box::pin(async move { operations::find_until(&servers, &lease, deadline, &id).await });
        Ok(self.threads.run_until_dropped(finding).await?)
    }

    async fn find_by_alias(&self, alias: &Alias) -> Result<Option<Record>, StoreError> {
        let alias = *alias;
        let (servers, lease) = (Arc::clone(&self.servers), Arc::clone(&self.lease));
        let finding = async move { operations::find_by_alias(&servers, &lease, &alias).await };
        Ok(self.threads.run_until_dropped(finding).await?)
    }

    async fn list(
        &self,
        workspace: &Workspace,
        environment: Environment,
        list: &ListKeys<KeyId>,
        now: Timestamp,
    ) -> Result<Page<KeyId>, StoreError> {
        let workspace = workspace.clone();
        let list = list.clone();
        let context = ListContext {
            servers: Arc::clone(&self.servers),
            lease: Arc::clone(&self.lease),
            orphans: Arc::clone(&self.orphans),
            limits: Arc::clone(&self.limits),
        };
        // A list changes nothing, so it ends when its caller drops the future.
        let listing =
            async move { operations::list(&context, &workspace, environment, &list, now).await };
        Ok(self.threads.run_until_dropped(listing).await?)
    }

    async fn update(
        &self,
        workspace: &Workspace,
        id: &KeyId,
        version: u64,
        settings: &Settings,
        event: Option<&Event>,
    ) -> Result<VersionedKey, StoreError> {
        let workspace = workspace.clone();
        let id = *id;
        let settings = settings.clone();
        let event = event.cloned();
        self.run(|servers, lease| async move {
            let event = event.as_ref();
            operations::update(&servers, &lease, &workspace, &id, version, settings, event).await
        })
        .await
    }

    async fn revoke(
        &self,
        workspace: &Workspace,
        id: &KeyId,
        reach: Reach,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<Revocation, StoreError> {
        let workspace = workspace.clone();
        let id = *id;
        let event = event.cloned();
        let limits = Arc::clone(&self.limits);
        self.run(|servers, lease| async move {
            let limit = &limits.cascades;
            operations::revoke(&servers, &lease, limit, &workspace, &id, reach, now, event).await
        })
        .await
    }

    async fn rotate(
        &self,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let workspace = workspace.clone();
        let rotation = rotation.clone();
        let event = event.cloned();
        self.run(|servers, lease| async move {
            let event = event.as_ref();
            operations::rotate(&servers, &lease, &workspace, rotation, now, event).await
        })
        .await
    }

    async fn rehash(
        &self,
        id: &KeyId,
        version: u64,
        credential: &Credential,
    ) -> Result<(), StoreError> {
        let id = *id;
        let credential = credential.clone();
        self.run(|servers, lease| async move {
            operations::rehash(&servers, &lease, &id, version, credential).await
        })
        .await
    }

    async fn touch(&self, uses: &[(KeyId, Timestamp)]) -> Result<(), StoreError> {
        let uses = uses.to_vec();
        self.run(|servers, _| async move { operations::touch(&servers, &uses).await })
            .await
    }

    async fn reserve(
        &self,
        reservation: &Reservation,
        now: Timestamp,
    ) -> Result<Reserved, StoreError> {
        let reservation = reservation.clone();
        self.run(|servers, _| async move { operations::reserve(&servers, &reservation, now).await })
            .await
    }

    async fn purge(&self, purge: &Purge) -> Result<u64, StoreError> {
        let purge = Arc::new(purge.clone());
        let limits = Arc::clone(&self.limits);
        let caller = Arc::new(());
        let dropped = Arc::downgrade(&caller);
        let purged = self
            .run(|servers, lease| async move {
                operations::purge(&servers, &lease, &limits.purges, purge, dropped).await
            })
            .await;
        drop(caller);
        purged
    }

    async fn events(
        &self,
        workspace: &Workspace,
        environment: Environment,
        list: &ListEvents<EventId>,
    ) -> Result<EventPage<EventId>, StoreError> {
        let workspace = workspace.clone();
        let list = list.clone();
        let context = EventListContext {
            servers: Arc::clone(&self.servers),
            lease: Arc::clone(&self.lease),
            orphans: Arc::clone(&self.event_orphans),
            limits: Arc::clone(&self.limits),
        };
        let listing =
            async move { operations::events(&context, &workspace, environment, &list).await };
        Ok(self.threads.run_until_dropped(listing).await?)
    }

    async fn purge_events(&self, purge: &PurgeEvents) -> Result<u64, StoreError> {
        let purge = purge.clone();
        let limits = Arc::clone(&self.limits);
        let orphans = Arc::clone(&self.event_orphans);
        let position = Arc::clone(&self.event_purge);
        let caller = Arc::new(());
        let dropped = Arc::downgrade(&caller);
        let purged = self
            .run(|servers, lease| async move {
                let context = EventPurgeContext {
                    servers,
                    lease,
                    orphans,
                    position,
                };
                operations::purge_events(&context, &limits.purges, &purge, dropped).await
            })
            .await;
        drop(caller);
        purged
    }

    fn keeps_events(&self) -> bool {
        true
    }

    async fn is_empty(&self) -> Result<bool, StoreError> {
        let servers = Arc::clone(&self.servers);
        let scanning = async move { operations::is_empty(&servers).await };
        Ok(self.threads.run_until_dropped(scanning).await?)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let servers = Arc::clone(&self.servers);
        let ping = async move { operations::ping(&servers).await };
        Ok(self.threads.run_until_dropped(ping).await?)
    }

    async fn prefix(&self) -> Result<Option<Prefix>, StoreError> {
        self.run(|servers, _| async move { operations::prefix(&servers).await })
            .await
    }

    async fn claim_prefix(&self, prefix: &Prefix) -> Result<Prefix, StoreError> {
        let prefix = prefix.clone();
        self.run(|servers, _| async move { operations::claim_prefix(&servers, &prefix).await })
            .await
    }

    fn durability(&self) -> Durability {
        self.durability
    }

    fn lease(&self) -> Arc<Lease> {
        Arc::clone(&self.lease)
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("primaries", &self.servers.primaries())
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}
