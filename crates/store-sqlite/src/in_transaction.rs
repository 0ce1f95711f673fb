//! Changes in a transaction of the host.

use std::path::Path;

use keywright_core::{
    PreparedCaller, PreparedKey, PreparedRevocation, PreparedUpdate, Revocation, VersionedKey,
    store::{StoreError, StoreErrorKind},
};
use rusqlite::{Connection, Transaction};

use crate::{
    changes,
    error::{Error, Result},
    event::NewEvent,
    operations,
    record::NewRow,
    schema,
    store::SqliteStore,
};

/// The value of `PRAGMA synchronous` from which a commit is synced to the disk, `FULL`.
const FULL: i64 = 2;

/// Changes in a transaction of the host, on a connection of the host to the file of the store.
///
/// The connection needs `PRAGMA synchronous = FULL`, SQLite's default, so that the change survives
/// a power loss. Begin the transaction with
/// [`Immediate`](rusqlite::TransactionBehavior::Immediate): if a deferred transaction has read
/// before it writes, and another connection has committed in between, SQLite rejects the write at
/// once. A transaction that writes keeps all other writes waiting, including those of the store, so
/// end it soon.
///
/// Each function checks the caller again, and fails with `Conflict` if it may do less than when the
/// change was prepared.
///
/// These functions block. If one of them fails, roll the transaction back.
impl SqliteStore {
    /// Inserts a [prepared](keywright_core::Issuer::prepare) key. Its token is valid after the host
    /// has committed the transaction, and never if the host rolls it back.
    ///
    /// # Errors
    ///
    /// As for [`KeyStore::insert`](keywright_core::store::KeyStore::insert), and `Unavailable` if
    /// the store cannot take part in the transaction.
    pub fn insert_in(
        &self,
        transaction: &Transaction<'_>,
        prepared: &PreparedKey,
    ) -> Result<(), StoreError> {
        let row = NewRow::new(prepared.record()).map_err(Error::from)?;
        let event = prepared.event().map(NewEvent::new).transpose()?;
        self.check(transaction, prepared.caller())?;
        operations::insert_for_host(transaction, &row, prepared.now(), event.as_ref())?;
        Ok(())
    }

    /// Makes a [prepared](keywright_core::Issuer::prepare_update) update, and returns the key after
    /// it.
    ///
    /// Other processes apply it within the bound of [`Sharing`](crate::Sharing) after the host has
    /// committed the transaction, and so does this one, unless the host calls
    /// [`committed_update`](keywright_core::Issuer::committed_update).
    ///
    /// # Errors
    ///
    /// As for [`KeyStore::update`](keywright_core::store::KeyStore::update), and `Unavailable` if
    /// the store cannot take part in the transaction.
    pub fn update_in(
        &self,
        transaction: &Transaction<'_>,
        prepared: &PreparedUpdate,
    ) -> Result<VersionedKey, StoreError> {
        let event = prepared.event().map(NewEvent::new).transpose()?;
        self.check(transaction, prepared.caller())?;
        let updated = operations::update(
            transaction,
            prepared.workspace(),
            prepared.id(),
            prepared.version(),
            prepared.settings().clone(),
            event.as_ref(),
        )?;
        changes::prune(transaction)?;
        Ok(updated)
    }

    /// Makes a [prepared](keywright_core::Issuer::prepare_revocation) revocation.
    ///
    /// Other processes apply it within the bound of [`Sharing`](crate::Sharing) after the host has
    /// committed the transaction, and so does this one, unless the host calls
    /// [`committed_revocation`](keywright_core::Issuer::committed_revocation).
    ///
    /// # Errors
    ///
    /// As for [`KeyStore::revoke`](keywright_core::store::KeyStore::revoke), and `Unavailable` if
    /// the store cannot take part in the transaction.
    pub fn revoke_in(
        &self,
        transaction: &Transaction<'_>,
        prepared: &PreparedRevocation,
    ) -> Result<Revocation, StoreError> {
        self.check(transaction, prepared.caller())?;
        let revocation = operations::revoke(
            transaction,
            prepared.workspace(),
            prepared.id(),
            prepared.reach(),
            prepared.now(),
            prepared.event(),
        )?;
        changes::prune(transaction)?;
        Ok(revocation)
    }

    /// Fails if a change in this transaction would be lost, or would not be published, or if its
    /// caller may no longer make it. The transaction writes, so SQLite keeps the caller's key as it
    /// is until the end of it.
    fn check(&self, transaction: &Connection, caller: &PreparedCaller) -> Result<()> {
        if transaction.is_autocommit() {
            return Err(Error::NoTransaction);
        }
        let own = self.path()?;
        let path = transaction
            .path()
            .map(|path| Path::new(path).canonicalize());
        if !matches!(path, Some(Ok(path)) if path == own) {
            return Err(Error::OtherFile);
        }
        let synchronous: i64 =
            transaction.pragma_query_value(None, "synchronous", |row| row.get(0))?;
        if synchronous < FULL {
            return Err(Error::NotSynchronous);
        }
        if schema::check_version(transaction)? {
            return Err(StoreErrorKind::Moved.into());
        }
        let record = match caller.key() {
            Some(id) => operations::find(transaction, id)?,
            None => None,
        };
        Ok(caller.check(record.as_ref())?)
    }
}
