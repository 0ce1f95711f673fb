//! The store: what its threads are given to do.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use keywright_core::{
    Credential, Durability, Key, KeyId, KeyStore, Lease, Listing, Page, Prefix, Purge, Reach,
    Record, Rename, Reservation, Reserved, Revocation, Rotation, StoreError, Timestamp, Workspace,
};

use crate::{
    connection,
    error::{Error, OpenError, Result},
    lock::{Lock, Sharing},
    open::{self, Opened},
    operations,
    operations::Predecessor,
    place::Place,
    poller::Poller,
    reader::Readers,
    record::NewRow,
    write_back::Log,
    writer::Writer,
};

/// Keys in one SQLite file. Its durability is [`Durability::HostCrash`].
///
/// Dropping it blocks until what was submitted is done; the last handle of a file that is dropped
/// writes the log back into it.
#[derive(Debug)]
pub struct SqliteStore {
    // Readers end first, so that the writer's is the connection that writes the log back.
    readers: Readers,
    writer: Writer,
    place: Place,
    lease: Arc<Lease>,
    _poller: Option<Poller>,
    // Given up when the last connection is closed.
    _lock: Lock,
}

impl SqliteStore {
    /// Opens a file, creates it if there is none (mode 0600, in a directory that exists), and brings
    /// its schema to this program's version.
    ///
    /// This blocks, for milliseconds as a rule, and for up to 5 seconds while others lock the file.
    ///
    /// # Errors
    ///
    /// An [`OpenError`] for each way in which the file cannot be a store. A file of another program
    /// is left byte for byte as it is.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_with(path, Sharing::Shared)
    }

    /// The same, with a choice of who else may change the file while it is open.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open), and [`OpenError::InUse`].
    pub fn open_with(path: impl AsRef<Path>, sharing: Sharing) -> Result<Self, OpenError> {
        let Opened {
            path,
            mut writer,
            lock,
        } = open::open(path.as_ref(), sharing)?;
        let log =
            Log::watch(&mut writer).map_err(|source| OpenError::sqlite(path.clone(), source))?;
        let reader = || {
            connection::open_reader(&path).map_err(|source| OpenError::sqlite(path.clone(), source))
        };
        let readers = [reader()?, reader()?];
        let place = Place::of(path.clone()).map_err(|source| OpenError::Create {
            path: path.clone(),
            source,
        })?;
        let lease = Arc::new(Lease::lapsed());
        let poller = match sharing {
            Sharing::Shared | Sharing::Exclusive => Some(
                Poller::start(reader()?, place.clone(), Arc::clone(&lease))
                    .map_err(OpenError::Threads)?,
            ),
            Sharing::Strict => None,
        };
        Ok(Self {
            readers: Readers::start(readers, &place).map_err(OpenError::Threads)?,
            writer: Writer::start(writer, log, place.clone(), Arc::clone(&lease))
                .map_err(OpenError::Threads)?,
            place,
            lease,
            _poller: poller,
            _lock: lock,
        })
    }

    /// The path of the file, while it is where it was.
    pub(crate) fn path(&self) -> Result<&Path> {
        self.place.check()?;
        Ok(self.place.path())
    }

    #[cfg(test)]
    pub(crate) const fn writer(&self) -> &Writer {
        &self.writer
    }
}

#[async_trait]
impl KeyStore for SqliteStore {
    async fn insert(&self, record: &Record, now: Timestamp) -> Result<(), StoreError> {
        let row = NewRow::new(record).map_err(Error::from)?;
        self.writer
            .run(move |connection| operations::insert(connection, &row, now))
            .await
    }

    async fn find(&self, id: &KeyId) -> Result<Option<Record>, StoreError> {
        let id = *id;
        self.readers
            .find(move |connection| operations::find(connection, &id))
            .await
    }

    async fn list(&self, workspace: &Workspace, listing: &Listing) -> Result<Page, StoreError> {
        let workspace = workspace.clone();
        let listing = listing.clone();
        self.readers
            .list(move |connection| operations::list(connection, &workspace, &listing))
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
        self.writer
            .change(move |connection| {
                operations::rename(connection, &workspace, &id, version, rename)
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
        self.writer
            .change(move |connection| operations::revoke(connection, &workspace, &id, reach, now))
            .await
    }

    async fn rotate(
        &self,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let workspace = workspace.clone();
        let successor = NewRow::new(&rotation.successor).map_err(Error::from)?;
        let predecessor = Predecessor {
            id: rotation.predecessor,
            version: rotation.version,
            retire: rotation.retire,
            caller: rotation.caller,
        };
        self.writer
            .change(move |connection| {
                operations::rotate(connection, &workspace, &predecessor, &successor, now)
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

    /// A reader looks for what may go, through all keys of the workspace or of the file, for which
    /// there is no index; the writer looks again and deletes, and is held up by no search.
    async fn purge(&self, purge: &Purge) -> Result<u64, StoreError> {
        loop {
            let wanted = purge.clone();
            let ids = self
                .readers
                .list(move |connection| operations::purgeable(connection, &wanted))
                .await?;
            if ids.is_empty() {
                return Ok(0);
            }
            let before = purge.revoked_before;
            let count = self
                .writer
                .run(move |connection| operations::delete_purgeable(connection, &ids, before))
                .await?;
            // Others have purged the same meanwhile, but there may be more.
            if count > 0 {
                return Ok(count);
            }
        }
    }

    async fn is_empty(&self) -> Result<bool, StoreError> {
        self.readers.find(operations::is_empty).await
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
