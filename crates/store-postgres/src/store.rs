//! The store, which passes each operation to a task of its runtime.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use keywright_core::{
    Environment, Event, EventId, EventPage, KeyId, ListEvents, ListKeys, Page, Prefix, Reach,
    Revocation, Timestamp, VersionedKey, Workspace,
    store::{
        Alias, Credential, Durability, KeyStore, Lease, Purge, PurgeEvents, Record, Reservation,
        Reserved, Rotation, Settings, StoreError, StoreErrorKind,
    },
};
use sqlx::PgPool;
use tokio::runtime::Handle;

use crate::{
    change::{Change, Changed},
    config::PostgresConfig,
    connect::connect,
    database::{Access, Database, Run, Single},
    error::{Error, Result},
    feed::Feed,
    finder::Finder,
    lane::Lane,
    open::{self, Opened},
    open_error::OpenError,
    operations::{self, EventListing, KeyPurge, Listing, Uses},
    queue::Capacity,
    statements::Statements,
    transaction::{Cascade, Recorded},
    writer::Writer,
};

/// The capacity for operations of all tenants.
const UNDIVIDED: Capacity = Capacity {
    all: 1024,
    tenant: 1024,
};

/// The capacity for operations of which one tenant may have a few.
const DIVIDED: Capacity = Capacity {
    all: 1024,
    tenant: 64,
};

/// How long a touch waits for records that another transaction locks. The uses of other keys are
/// written after it.
const LOCKED_TOUCH: Duration = Duration::from_secs(1);

/// A [`KeyStore`] in PostgreSQL.
pub struct PostgresStore {
    pub(crate) database: Database,
    finder: Finder<KeyId>,
    alias_finder: Finder<Alias>,
    writer: Writer,
    /// Single transactions of bounded length.
    short: Lane,
    /// Cascades, and changes that wait for locked records. They do not wait for lists.
    waiting: Arc<Lane>,
    /// Lists and purges, which read any number of rows.
    long: Lane,
    feed: Feed,
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
        let runtime = Handle::try_current().map_err(|_| OpenError::NoRuntime)?;
        let Opened {
            durability,
            identity,
        } = open::check(&pool, &config.schema).await?;
        if let (false, Some(options)) = (config.strict, &config.feed_options) {
            open::check_feed(options, &config.schema, &identity).await?;
        }
        let statements = Arc::new(Statements::new(config.schema.clone(), &identity));
        let connections = pool.options().get_max_connections();
        let lease = Arc::new(Lease::lapsed());
        let database = Database {
            pool,
            statements,
            has_standby: Arc::default(),
            lease: Arc::clone(&lease),
            runtime,
        };
        let waiting = Arc::new(Lane::start(&database, 2, DIVIDED));
        let feed = Feed::start(&database, &config);
        Ok(Self {
            finder: Finder::start(&database),
            alias_finder: Finder::start(&database),
            writer: Writer::start(&database, &waiting),
            waiting,
            short: Lane::start(&database, 2, UNDIVIDED),
            // At least one connection remains for other work.
            long: Lane::start(
                &database,
                connections.saturating_sub(1).clamp(1, 2),
                DIVIDED,
            ),
            feed,
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

    /// Runs an operation of one transaction. If the caller drops this future before the operation
    /// has begun, it does not run.
    pub(crate) async fn transact<I, T>(
        &self,
        access: Access,
        input: I,
        run: Run<I, T>,
    ) -> Result<T, StoreError>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.mark();
        let operation = Single::new(access, input, run);
        Ok(self.long.run(None, operation).await?)
    }

    /// Runs an operation while no other transaction makes changes. Waits until those that do have
    /// ended, in short attempts, between which others go on.
    pub(crate) async fn stage_when_unlocked<I, T>(
        &self,
        input: I,
        run: Run<I, T>,
    ) -> Result<T, StoreError>
    where
        I: Clone + Send + Sync + 'static,
        T: Clone + Send + 'static,
    {
        self.mark();
        let operation = Single::new(Access::Stage, input, run);
        Ok(self.waiting.run_when_unlocked(None, operation).await?)
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
        self.feed.activity.mark(self.database.lease.now());
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

    async fn find_by_alias(&self, alias: &Alias) -> Result<Option<Record>, StoreError> {
        self.mark();
        Ok(self.alias_finder.find(*alias).await?)
    }

    async fn list(
        &self,
        workspace: &Workspace,
        environment: Environment,
        list: &ListKeys<KeyId>,
        now: Timestamp,
    ) -> Result<Page<KeyId>, StoreError> {
        self.mark();
        let listing = Listing::new(workspace, environment, list, now);
        Ok(self.long.run(Some(workspace.clone()), listing).await?)
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
            self.mark();
            let tenant = Some(workspace.clone());
            let revoked = self.waiting.run_when_unlocked(tenant, cascade).await;
            return match revoked {
                Ok((revocation, changed)) => {
                    for id in &changed {
                        self.database.lease.changed(id);
                    }
                    Ok(revocation)
                }
                Err(error) => {
                    // The reply to the commit may have been lost.
                    self.database.lease.changed_all();
                    Err(error.into())
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
        self.mark();
        let uses = Uses::new(uses);
        let touch = |uses| {
            Single::write(uses, |connection, statements, uses| {
                Box::pin(operations::touch(connection, statements, uses))
            })
        };
        let mut patience = self.database.patience(LOCKED_TOUCH);
        loop {
            match self.short.run(None, touch(uses.clone())).await? {
                true => return Ok(()),
                false if patience.pause().await => {}
                // The caller goes on with other keys, and tries these again later.
                false => return Err(Error::from(StoreErrorKind::Conflict).into()),
            }
        }
    }

    async fn reserve(
        &self,
        reservation: &Reservation,
        now: Timestamp,
    ) -> Result<Reserved, StoreError> {
        self.mark();
        let input = (reservation.clone(), now);
        let reserve = Single::write(input, |connection, statements, (reservation, now)| {
            Box::pin(operations::reserve(
                connection,
                statements,
                reservation,
                *now,
            ))
        });
        Ok(self.short.run_when_unlocked(None, reserve).await?)
    }

    async fn purge(&self, purge: &Purge) -> Result<u64, StoreError> {
        self.mark();
        let tenant = purge.workspace.clone();
        let purge = KeyPurge::new(purge.clone());
        Ok(self.long.run(tenant, purge).await?)
    }

    async fn events(
        &self,
        workspace: &Workspace,
        environment: Environment,
        list: &ListEvents<EventId>,
    ) -> Result<EventPage<EventId>, StoreError> {
        self.mark();
        let listing = EventListing::new(workspace, environment, list);
        Ok(self.long.run(Some(workspace.clone()), listing).await?)
    }

    async fn purge_events(&self, purge: &PurgeEvents) -> Result<u64, StoreError> {
        self.mark();
        let tenant = purge.workspace.clone();
        let purge = Single::write(purge.clone(), |connection, statements, purge| {
            Box::pin(operations::purge_events(connection, statements, purge))
        });
        Ok(self.long.run(tenant, purge).await?)
    }

    fn keeps_events(&self) -> bool {
        true
    }

    async fn is_empty(&self) -> Result<bool, StoreError> {
        self.mark();
        let is_empty = Single::read((), |connection, statements, ()| {
            Box::pin(operations::is_empty(connection, statements))
        });
        Ok(self.short.run(None, is_empty).await?)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.mark();
        let check = Single::read((), |connection, statements, ()| {
            Box::pin(operations::check_store(connection, statements))
        });
        Ok(self.short.run(None, check).await?)
    }

    async fn prefix(&self) -> Result<Option<Prefix>, StoreError> {
        self.mark();
        let prefix = Single::read((), |connection, statements, ()| {
            Box::pin(operations::prefix(connection, statements))
        });
        Ok(self.short.run(None, prefix).await?)
    }

    async fn claim_prefix(&self, prefix: &Prefix) -> Result<Prefix, StoreError> {
        self.mark();
        let claim = Single::write(prefix.clone(), |connection, statements, prefix| {
            Box::pin(operations::claim_prefix(connection, statements, prefix))
        });
        Ok(self.short.run_when_unlocked(None, claim).await?)
    }

    fn durability(&self) -> Durability {
        self.durability
    }

    fn lease(&self) -> Arc<Lease> {
        Arc::clone(&self.database.lease)
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("schema", &self.database.statements.schema)
            .field("lease", &self.database.lease)
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}
