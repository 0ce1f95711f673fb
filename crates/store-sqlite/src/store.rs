//! The store, which passes each operation to one of its threads.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use keywright_core::{
    Environment, Event, EventId, EventPage, KeyId, ListEvents, ListKeys, Page, Prefix, Reach,
    Revocation, Timestamp, VersionedKey, Workspace,
    store::{
        Alias, Credential, Durability, KeyStore, Lease, Purge, PurgeEvents, Record, Reservation,
        Reserved, Rotation, Settings, StoreError,
    },
};

use crate::{
    checkpoint::{Checkpointer, Limits},
    config::SqliteConfig,
    connection,
    error::{Error, Result},
    event::NewEvent,
    file,
    file_identity::FileIdentity,
    finder::Finder,
    gate::Gates,
    lister::Lister,
    lock::{FileLock, Sharing},
    open::{self, Opened},
    open_error::OpenError,
    operations::{self, EventListing, Listing, Predecessor, PurgeSearch},
    poller::Poller,
    record::NewRow,
    writer::Writer,
};

/// A store that keeps keys in one SQLite file.
///
/// Its durability is [`Durability::HostCrash`].
///
/// Dropping the store blocks until all submitted operations are done. Dropping the last handle of a
/// file checkpoints its log into the file and deletes the log.
#[derive(Debug)]
pub struct SqliteStore {
    // Fields are dropped in this order. The last connection to close checkpoints and deletes the
    // log, which must not happen after a failed sync. The writer and the poller prevent it, the
    // readers do not, so they close first.
    pub(crate) finder: Finder,
    pub(crate) lister: Lister,
    pub(crate) writer: Writer,
    files: FileIdentity,
    lease: Arc<Lease>,
    gates: Arc<Gates>,
    _poller: Option<Poller>,
    // The lock is released after the last connection is closed.
    _lock: FileLock,
}

impl SqliteStore {
    /// Opens a file as a store that is [shared](Sharing::Shared) with other handles and processes.
    ///
    /// If the file does not exist, it is created with mode 0600. Its directory must exist. An older
    /// schema is migrated to the version of this program.
    ///
    /// This blocks, usually for milliseconds, and for up to 5 seconds while others lock the file.
    ///
    /// # Errors
    ///
    /// An [`OpenError`] if the file cannot be used as a store. A file of another program is not
    /// changed.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_with(path, SqliteConfig::new())
    }

    /// Opens a file as a store, with a choice of who else may open it at the same time, and whether
    /// it may be the database of the host.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open), [`OpenError::InUse`] if this handle and the others cannot
    /// share the file, and [`OpenError::Missing`] if the database of the host does not exist.
    pub fn open_with(
        path: impl AsRef<Path>,
        config: impl Into<SqliteConfig>,
    ) -> Result<Self, OpenError> {
        let config = config.into();
        let Opened { path, writer, lock } = open::open(path.as_ref(), config)?;
        let sqlite_error = |source| OpenError::from_sqlite(path.clone(), source);
        let gates = Arc::new(Gates::default());
        let checkpointer = Checkpointer::attach(&writer, Arc::clone(&gates), Limits::default())
            .map_err(sqlite_error)?;
        let reader = || connection::open_reader(&path).map_err(sqlite_error);
        let (finds, lists) = (reader()?, reader()?);
        let files = FileIdentity::of(path.clone()).map_err(|source| OpenError::Create {
            path: path.clone(),
            source,
        })?;
        file::warn_if_exposed(&path);
        let lease = Arc::new(Lease::lapsed());
        let poller = match config.sharing() {
            Sharing::Shared | Sharing::Exclusive => Some(
                Poller::start(reader()?, files.clone(), Arc::clone(&lease))
                    .map_err(OpenError::Threads)?,
            ),
            Sharing::Strict => None,
        };
        Ok(Self {
            finder: Finder::start(finds, files.clone(), Arc::clone(&gates))
                .map_err(OpenError::Threads)?,
            lister: Lister::start(lists, files.clone(), Arc::clone(&gates))
                .map_err(OpenError::Threads)?,
            writer: Writer::start(writer, checkpointer, files.clone(), Arc::clone(&lease))
                .map_err(OpenError::Threads)?,
            files,
            lease,
            gates,
            _poller: poller,
            _lock: lock,
        })
    }

    /// Returns the path of the file, with all symbolic links resolved. Fails if the file was
    /// removed or replaced.
    pub(crate) fn path(&self) -> Result<&Path> {
        self.files.check()?;
        Ok(self.files.path())
    }

    /// Returns the gates through which the writer pauses readers.
    pub(crate) fn gates(&self) -> Arc<Gates> {
        Arc::clone(&self.gates)
    }
}

#[async_trait]
impl KeyStore for SqliteStore {
    async fn insert(
        &self,
        record: &Record,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let row = NewRow::new(record).map_err(Error::from)?;
        let event = event.map(NewEvent::new).transpose()?;
        self.writer
            .run(move |connection| operations::insert(connection, &row, now, event.as_ref()))
            .await
    }

    async fn find(&self, id: &KeyId) -> Result<Option<Record>, StoreError> {
        let id = *id;
        self.finder
            .run(move |connection| operations::find(connection, &id))
            .await
    }

    async fn find_by_alias(&self, alias: &Alias) -> Result<Option<Record>, StoreError> {
        let alias = *alias;
        self.finder
            .run(move |connection| operations::find_by_alias(connection, &alias))
            .await
    }

    async fn list(
        &self,
        workspace: &Workspace,
        environment: Environment,
        list: &ListKeys<KeyId>,
        now: Timestamp,
    ) -> Result<Page<KeyId>, StoreError> {
        let mut listing = Listing::new(workspace, environment, list, now);
        self.lister
            .run(Some(workspace.clone()), move |connection| {
                listing.read_slice(connection)
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
        let workspace = workspace.clone();
        let id = *id;
        let settings = settings.clone();
        let event = event.map(NewEvent::new).transpose()?;
        self.writer
            .change(move |connection| {
                operations::update(
                    connection,
                    &workspace,
                    &id,
                    version,
                    settings,
                    event.as_ref(),
                )
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
        let event = event.cloned();
        let id = *id;
        self.writer
            .change(move |connection| {
                operations::revoke(connection, &workspace, &id, reach, now, event.as_ref())
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
        let successor = NewRow::new(&rotation.successor).map_err(Error::from)?;
        let event = event.map(NewEvent::new).transpose()?;
        let predecessor = Predecessor {
            id: rotation.predecessor,
            version: rotation.version,
            retire: rotation.retire,
        };
        self.writer
            .change(move |connection| {
                operations::rotate(
                    connection,
                    &workspace,
                    &predecessor,
                    &successor,
                    now,
                    event.as_ref(),
                )
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
        self.writer
            .change(move |connection| operations::rehash(connection, &id, version, credential))
            .await
    }

    async fn touch(&self, uses: &[(KeyId, Timestamp)]) -> Result<(), StoreError> {
        let uses = uses.to_vec();
        self.writer
            .run(move |connection| operations::touch(connection, &uses))
            .await
    }

    async fn reserve(
        &self,
        reservation: &Reservation,
        now: Timestamp,
    ) -> Result<Reserved, StoreError> {
        let reservation = reservation.clone();
        self.writer
            .run(move |connection| operations::reserve(connection, &reservation, now))
            .await
    }

    /// Searches on a reader thread, which reads all keys of the workspace or of the file: there is
    /// no index of revoked or expired keys. The writer checks the keys again and deletes them, so
    /// that a search never delays a write.
    async fn purge(&self, purge: &Purge) -> Result<u64, StoreError> {
        loop {
            let mut search = PurgeSearch::new(purge.clone());
            let ids = self
                .lister
                .run(purge.workspace.clone(), move |connection| {
                    search.read_slice(connection)
                })
                .await?;
            if ids.is_empty() {
                return Ok(0);
            }
            let purge = purge.clone();
            let count = self
                .writer
                .run(move |connection| operations::delete_purgeable(connection, &ids, &purge))
                .await?;
            // Another handle has purged these keys in the meantime. There may be more.
            if count > 0 {
                return Ok(count);
            }
        }
    }

    async fn events(
        &self,
        workspace: &Workspace,
        environment: Environment,
        list: &ListEvents<EventId>,
    ) -> Result<EventPage<EventId>, StoreError> {
        let mut listing = EventListing::new(workspace, environment, list);
        self.lister
            .run(Some(workspace.clone()), move |connection| {
                listing.read_slice(connection)
            })
            .await
    }

    async fn purge_events(&self, purge: &PurgeEvents) -> Result<u64, StoreError> {
        let purge = purge.clone();
        self.writer
            .run(move |connection| operations::purge_events(connection, &purge))
            .await
    }

    fn keeps_events(&self) -> bool {
        true
    }

    async fn is_empty(&self) -> Result<bool, StoreError> {
        self.finder.run(operations::is_empty).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        // Reads at most one row.
        self.finder.run(operations::is_empty).await.map(drop)
    }

    async fn prefix(&self) -> Result<Option<Prefix>, StoreError> {
        self.finder.run(operations::prefix).await
    }

    async fn claim_prefix(&self, prefix: &Prefix) -> Result<Prefix, StoreError> {
        let prefix = prefix.clone();
        self.writer
            .run(move |connection| operations::claim_prefix(connection, &prefix))
            .await
    }

    fn durability(&self) -> Durability {
        Durability::HostCrash
    }

    fn lease(&self) -> Arc<Lease> {
        Arc::clone(&self.lease)
    }
}
