//! The store: what its own threads are given to do.

use std::{fmt, sync::Arc, time::Instant};

use async_trait::async_trait;
use keywright_core::{
    Credential, Durability, Environment, Key, KeyId, KeyStore, Lease, ListKeys, Page, Prefix,
    Purge, Reach, Record, Rename, Reservation, Reserved, Revocation, Rotation, StoreError,
    Timestamp, Workspace,
};
use tokio::runtime::Runtime;

use crate::{
    config::RedisConfig,
    error::{Error, Result},
    open_error::OpenError,
    operations::{self, Dangling},
    record,
    server::Facts,
    servers::Servers,
};

/// Threads that talk to the servers: one is enough for what a Redis server can do.
const THREADS: usize = 1;

/// Keys in Redis.
pub struct RedisStore {
    threads: Threads,
    servers: Arc<Servers>,
    dangling: Arc<Dangling>,
    durability: Durability,
}

impl RedisStore {
    /// Connects to the servers, and sees whether they keep what they are given.
    ///
    /// The future may be polled by any executor: what it waits for runs on the store's own threads.
    ///
    /// # Errors
    ///
    /// An [`OpenError`] for each way in which the servers cannot be a store.
    pub async fn connect(config: RedisConfig) -> Result<Self, OpenError> {
        let parsed = config.parse()?;
        let threads = Threads::start().map_err(OpenError::Threads)?;
        let opening = threads.run(async move {
            let servers = Servers::find(parsed).await?;
            let format = operations::format(&servers).await?;
            let durability = durability(&servers).await?;
            Ok((servers, format, durability))
        });
        let (servers, format, durability) = opening.await.map_err(|error| match error {
            Error::Unfit(unfit) => OpenError::Unfit(unfit),
            other => OpenError::Unreachable(Box::new(other)),
        })?;
        if format != record::FORMAT.to_string() {
            return Err(OpenError::NewerFormat { found: format });
        }
        Ok(Self {
            threads,
            servers,
            dangling: Arc::default(),
            durability,
        })
    }
}

/// What an acknowledged write survives on each of the servers.
async fn durability(servers: &Arc<Servers>) -> Result<Durability> {
    let mut weakest = Durability::HostCrash;
    for node in servers.primaries() {
        let mut live = node.connection().await?;
        let facts = Facts::ask(&mut live.connection).await?;
        weakest = weakest.min(facts.durability(&mut live.connection).await);
    }
    Ok(weakest)
}

/// An async runtime of the store's own.
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

    /// Runs to its end, even where nobody waits for it any more.
    async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let Some(runtime) = &self.0 else {
            return Err(Error::Ended);
        };
        runtime.spawn(work).await.map_err(|_| Error::Ended)?
    }

    /// Gives up what any executor polls, by a timer of the store's own.
    async fn limit<T>(&self, end: Instant, work: impl Future<Output = T>) -> Result<T> {
        let limited = {
            let _entered = self.0.as_ref().ok_or(Error::Ended)?.enter();
            tokio::time::timeout_at(end.into(), work)
        };
        limited.await.map_err(|_| Error::TimedOut)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // It may be dropped by an executor's thread, which must not wait.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl RedisStore {
    async fn run<T, F>(&self, work: impl FnOnce(Arc<Servers>) -> F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        Ok(self.threads.run(work(Arc::clone(&self.servers))).await?)
    }
}

#[async_trait]
impl KeyStore for RedisStore {
    async fn insert(&self, record: &Record, now: Timestamp) -> Result<(), StoreError> {
        let record = record.clone();
        self.run(|servers| async move { operations::insert(&servers, &record, now).await })
            .await
    }

    async fn find(&self, id: &KeyId) -> Result<Option<Record>, StoreError> {
        let end = self.servers.end();
        // Most have their answer without a change of threads.
        let at_once = operations::find_at_once(&self.servers, id);
        if let Some(found) = self.threads.limit(end, at_once).await? {
            return Ok(found?);
        }
        let id = *id;
        self.run(|servers| async move { operations::find_until(&servers, end, &id).await })
            .await
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
        let dangling = Arc::clone(&self.dangling);
        self.run(|servers| async move {
            operations::list(&servers, &dangling, &workspace, environment, &list, now).await
        })
        .await
    }

    async fn rename(
        &self,
        workspace: &Workspace,
        id: &KeyId,
        version: u64,
        rename: &Rename,
    ) -> Result<Key, StoreError> {
        let workspace = workspace.clone();
        let id = *id;
        let rename = rename.clone();
        self.run(|servers| async move {
            operations::rename(&servers, &workspace, &id, version, rename).await
        })
        .await
    }

    async fn revoke(
        &self,
        workspace: &Workspace,
        id: &KeyId,
        reach: Reach,
        now: Timestamp,
    ) -> Result<Revocation, StoreError> {
        let workspace = workspace.clone();
        let id = *id;
        self.run(|servers| async move {
            operations::revoke(&servers, &workspace, &id, reach, now).await
        })
        .await
    }

    async fn rotate(
        &self,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let workspace = workspace.clone();
        let rotation = rotation.clone();
        self.run(
            |servers| async move { operations::rotate(&servers, &workspace, rotation, now).await },
        )
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
        self.run(
            |servers| async move { operations::rehash(&servers, &id, version, credential).await },
        )
        .await
    }

    async fn touch(&self, uses: &[(KeyId, Timestamp)]) -> Result<(), StoreError> {
        let uses = uses.to_vec();
        self.run(|servers| async move { operations::touch(&servers, &uses).await })
            .await
    }

    async fn reserve(
        &self,
        reservation: &Reservation,
        now: Timestamp,
    ) -> Result<Reserved, StoreError> {
        let reservation = reservation.clone();
        self.run(|servers| async move { operations::reserve(&servers, &reservation, now).await })
            .await
    }

    async fn purge(&self, purge: &Purge) -> Result<u64, StoreError> {
        let purge = Arc::new(purge.clone());
        self.run(|servers| async move { operations::purge(&servers, purge).await })
            .await
    }

    async fn is_empty(&self) -> Result<bool, StoreError> {
        self.run(|servers| async move { operations::is_empty(&servers).await })
            .await
    }

    async fn claim_prefix(&self, prefix: &Prefix) -> Result<Prefix, StoreError> {
        let prefix = prefix.clone();
        self.run(|servers| async move { operations::claim_prefix(&servers, &prefix).await })
            .await
    }

    fn durability(&self) -> Durability {
        self.durability
    }

    fn lease(&self) -> Arc<Lease> {
        Arc::clone(self.servers.hearing().lease())
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
