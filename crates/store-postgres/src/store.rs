//! The store, which passes each operation to a task of its runtime.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use keywright_core::{
    Environment, Event, EventId, EventPage, KeyId, ListEvents, ListKeys, Page, Prefix, Reach,
    Revocation, Timestamp, VersionedKey, Workspace,
    store::{
        Credential, Durability, KeyStore, Lease, Purge, PurgeEvents, Record, Reservation, Reserved,
        Rotation, Settings, StoreError,
    },
};
use sqlx::PgPool;
use tokio::runtime::Handle;

use crate::{
    change::{Change, Changed},
    config::PostgresConfig,
    connect::connect,
    database::{Access, Database, Operation},
    error::{Error, Result},
    feed::Feed,
    finder::Finder,
    open::{self, Opened},
    open_error::OpenError,
    operations::{self, EventListing, Listing},
    statements::Statements,
    transaction::{Cascade, Recorded},
    writer::Writer,
};

/// A [`KeyStore`] in PostgreSQL.
pub struct PostgresStore {
    database: Database,
    finder: Finder,
    writer: Writer,
    feed: Feed,
    pub(crate) lease: Arc<Lease>,
    runtime: Handle,
    durability: Durability,
}

impl PostgresStore {
    /// Opens the store over the host's pool, with the default configuration.
    ///
    /// The tables must exist: see [`migrate`](crate::migrate). Call this in the tokio runtime of
    /// the pool. The store makes one more connection, for the feed of changes.
    ///
    /// # Errors
    ///
    /// An [`OpenError`] if the server or its tables cannot be used.
    pub async fn new(pool: PgPool) -> Result<Self, OpenError> {
        Self::with_config(pool, PostgresConfig::new()).await
    }

    /// Opens the store over the host's pool.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub async fn with_config(pool: PgPool, config: PostgresConfig) -> Result<Self, OpenError> {
        let Opened { durability } = open::check(&pool, &config.schema).await?;
        let statements = Arc::new(Statements::new(config.schema.clone()));
        let database = Database { pool, statements };
        let lease = Arc::new(Lease::lapsed());
        let feed = if config.strict {
            Feed::none(&lease)
        } else {
            let options = (*database.pool.connect_options()).clone();
            Feed::start(options, &config.schema, config.staleness_bound, &lease)
        };
        Ok(Self {
            finder: Finder::start(&database),
            writer: Writer::start(&database, &lease),
            feed,
            lease,
            runtime: Handle::current(),
            durability,
            database,
        })
    }

    /// [Connects](crate::connect) to a server, and opens the store.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new) and [`connect`](crate::connect).
    pub async fn connect(url: &str, config: PostgresConfig) -> Result<Self, OpenError> {
        let pool = connect(url).await?;
        Self::with_config(pool, config).await
    }

    /// Runs an operation on the store's runtime to its end, even if the caller drops this future.
    pub(crate) async fn transact<I, T>(
        &self,
        access: Access,
        input: I,
        operation: Operation<I, T>,
    ) -> Result<T, StoreError>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.mark();
        let database = self.database.clone();
        let running = async move { database.run(access, &input, operation).await };
        let done = self.runtime.spawn(running).await;
        Ok(done.map_err(|_| Error::Stopped)??)
    }

    /// Makes a change as part of a batch.
    async fn change(&self, change: Change, event: Option<&Event>) -> Result<Changed, StoreError> {
        self.mark();
        let event = event.cloned();
        Ok(self.writer.run(Recorded { change, event }).await?)
    }

    pub(crate) fn statements(&self) -> &Statements {
        &self.database.statements
    }

    fn mark(&self) {
        self.feed.activity.mark(self.lease.now());
    }
}

#[async_trait]
impl KeyStore for PostgresStore {
    async fn insert(
        &self,
        record: &Record,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let record = record.clone();
        self.change(Change::Insert { record, now }, event).await?;
        Ok(())
    }

    async fn find(&self, id: &KeyId) -> Result<Option<Record>, StoreError> {
        self.mark();
        Ok(self.finder.find(*id).await?)
    }

    async fn list(
        &self,
        workspace: &Workspace,
        environment: Environment,
        list: &ListKeys<KeyId>,
        now: Timestamp,
    ) -> Result<Page<KeyId>, StoreError> {
        let listing = Listing {
            workspace: workspace.clone(),
            environment,
            list: list.clone(),
            now,
        };
        self.transact(Access::Read, listing, |connection, statements, listing| {
            Box::pin(listing.read(connection, statements))
        })
        .await
    }

    async fn update(
        &self,
        workspace: &Workspace,
        id: &KeyId,
        version: u64,
        settings: &Settings,
        event: Option<&Event>,
    ) -> Result<VersionedKey, StoreError> {
        let change = Change::Update {
            workspace: workspace.clone(),
            id: *id,
            version,
            settings: settings.clone(),
        };
        match self.change(change, event).await? {
            Changed::Updated(updated) => Ok(updated),
            Changed::Done | Changed::Revoked(_) => Err(Error::Stopped.into()),
        }
    }

    async fn revoke(
        &self,
        workspace: &Workspace,
        id: &KeyId,
        reach: Reach,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<Revocation, StoreError> {
        if reach == Reach::Descendants {
            let cascade = Cascade {
                workspace: workspace.clone(),
                root: *id,
                now,
                event: event.cloned(),
            };
            let revoked = self
                .transact(Access::Write, cascade, |connection, statements, cascade| {
                    Box::pin(cascade.revoke(connection, statements))
                })
                .await;
            return match revoked {
                Ok((revocation, changed)) => {
                    for id in &changed {
                        self.lease.changed(id);
                    }
                    Ok(revocation)
                }
                Err(error) => {
                    // The reply to the commit may have been lost.
                    self.lease.changed_all();
                    Err(error)
                }
            };
        }
        let change = Change::Revoke {
            workspace: workspace.clone(),
            id: *id,
            now,
        };
        match self.change(change, event).await? {
            Changed::Revoked(revocation) => Ok(revocation),
            Changed::Done | Changed::Updated(_) => Err(Error::Stopped.into()),
        }
    }

    async fn rotate(
        &self,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let change = Change::Rotate {
            workspace: workspace.clone(),
            rotation: rotation.clone(),
            now,
        };
        self.change(change, event).await?;
        Ok(())
    }

    async fn rehash(
        &self,
        id: &KeyId,
        version: u64,
        credential: &Credential,
    ) -> Result<(), StoreError> {
        let change = Change::Rehash {
            id: *id,
            version,
            credential: credential.clone(),
        };
        self.change(change, None).await?;
        Ok(())
    }

    async fn touch(&self, uses: &[(KeyId, Timestamp)]) -> Result<(), StoreError> {
        let uses = uses.to_vec();
        self.transact(Access::Write, uses, |connection, statements, uses| {
            Box::pin(operations::touch(connection, statements, uses))
        })
        .await
    }

    async fn reserve(
        &self,
        reservation: &Reservation,
        now: Timestamp,
    ) -> Result<Reserved, StoreError> {
        let input = (reservation.clone(), now);
        self.transact(
            Access::Write,
            input,
            |connection, statements, (reservation, now)| {
                Box::pin(operations::reserve(
                    connection,
                    statements,
                    reservation,
                    *now,
                ))
            },
        )
        .await
    }

    async fn purge(&self, purge: &Purge) -> Result<u64, StoreError> {
        self.transact(
            Access::Write,
            purge.clone(),
            |connection, statements, purge| {
                Box::pin(operations::purge(connection, statements, purge))
            },
        )
        .await
    }

    async fn events(
        &self,
        workspace: &Workspace,
        environment: Environment,
        list: &ListEvents<EventId>,
    ) -> Result<EventPage<EventId>, StoreError> {
        let listing = EventListing {
            workspace: workspace.clone(),
            environment,
            list: list.clone(),
        };
        self.transact(Access::Read, listing, |connection, statements, listing| {
            Box::pin(listing.read(connection, statements))
        })
        .await
    }

    async fn purge_events(&self, purge: &PurgeEvents) -> Result<u64, StoreError> {
        self.transact(
            Access::Write,
            purge.clone(),
            |connection, statements, purge| {
                Box::pin(operations::purge_events(connection, statements, purge))
            },
        )
        .await
    }

    fn keeps_events(&self) -> bool {
        true
    }

    async fn is_empty(&self) -> Result<bool, StoreError> {
        self.transact(Access::Read, (), |connection, statements, ()| {
            Box::pin(operations::is_empty(connection, statements))
        })
        .await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        // Reads at most one row.
        self.is_empty().await.map(drop)
    }

    async fn prefix(&self) -> Result<Option<Prefix>, StoreError> {
        self.transact(Access::Read, (), |connection, statements, ()| {
            Box::pin(operations::prefix(connection, statements))
        })
        .await
    }

    async fn claim_prefix(&self, prefix: &Prefix) -> Result<Prefix, StoreError> {
        self.transact(
            Access::Write,
            prefix.clone(),
            |connection, statements, prefix| {
                Box::pin(operations::claim_prefix(connection, statements, prefix))
            },
        )
        .await
    }

    fn durability(&self) -> Durability {
        self.durability
    }

    fn lease(&self) -> Arc<Lease> {
        Arc::clone(&self.lease)
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("schema", &self.database.statements.schema)
            .field("lease", &self.lease)
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}
