//! Changes in a transaction of the host.

use std::sync::Arc;

use keywright_core::{
    PreparedCaller, PreparedKey, PreparedRevocation, PreparedUpdate, Reach, Revocation,
    VersionedKey, store::StoreError,
};
use sqlx::PgConnection;

use crate::{
    change::{Change, Changed},
    error::{Error, Result},
    store::PostgresStore,
    transaction::{self, Cascade, Recorded},
};

/// Changes in a transaction of the host, with a connection that the transaction belongs to, such as
/// `&mut *transaction`.
///
/// Begin the transaction with `sqlx`, with the isolation level `READ COMMITTED`, the default.
/// Anything else is an error, and so is a transaction of another database. The transaction keeps
/// the rows of the changed keys and of the caller's key locked until it ends, so end it soon: other
/// changes of these keys wait, and fail with `Unavailable` after 10 s.
///
/// Each function checks the caller again, under this lock, and fails with `Conflict` if it may do
/// less than when the change was prepared.
impl PostgresStore {
    /// Inserts a [prepared](keywright_core::Issuer::prepare) key. Its token is valid after the host
    /// has committed the transaction, and never if the host rolls it back.
    ///
    /// # Errors
    ///
    /// As for [`KeyStore::insert`](keywright_core::store::KeyStore::insert).
    pub async fn insert_in(
        &self,
        connection: &mut PgConnection,
        prepared: &PreparedKey,
    ) -> Result<(), StoreError> {
        let change = Change::Insert {
            record: prepared.record().clone(),
            now: prepared.now(),
        };
        let event = prepared.event().cloned();
        self.change_in(connection, Recorded { change, event }, prepared.caller())
            .await?;
        Ok(())
    }

    /// Makes a [prepared](keywright_core::Issuer::prepare_update) update, and returns the key after
    /// it.
    ///
    /// # Errors
    ///
    /// As for [`KeyStore::update`](keywright_core::store::KeyStore::update).
    pub async fn update_in(
        &self,
        connection: &mut PgConnection,
        prepared: &PreparedUpdate,
    ) -> Result<VersionedKey, StoreError> {
        let change = Change::Update {
            workspace: prepared.workspace().clone(),
            id: *prepared.id(),
            version: prepared.version(),
            settings: prepared.settings().clone(),
        };
        let event = prepared.event().cloned();
        match self
            .change_in(connection, Recorded { change, event }, prepared.caller())
            .await?
        {
            Changed::Updated(updated) => Ok(updated),
            Changed::Done | Changed::Revoked(_) => Err(Error::Stopped.into()),
        }
    }

    /// Makes a [prepared](keywright_core::Issuer::prepare_revocation) revocation.
    ///
    /// # Errors
    ///
    /// As for [`KeyStore::revoke`](keywright_core::store::KeyStore::revoke).
    pub async fn revoke_in(
        &self,
        connection: &mut PgConnection,
        prepared: &PreparedRevocation,
    ) -> Result<Revocation, StoreError> {
        let workspace = prepared.workspace().clone();
        let (id, now) = (*prepared.id(), prepared.now());
        let event = prepared.event().cloned();
        if prepared.reach() == Reach::Descendants {
            let cascade = Cascade {
                workspace,
                root: id,
                now,
                event,
            };
            transaction::prepare(connection, self.statements()).await?;
            transaction::check_caller(connection, self.statements(), prepared.caller()).await?;
            let (revocation, _) = cascade.revoke(connection, self.statements()).await?;
            return Ok(revocation);
        }
        let change = Change::Revoke { workspace, id, now };
        match self
            .change_in(connection, Recorded { change, event }, prepared.caller())
            .await?
        {
            Changed::Revoked(revocation) => Ok(revocation),
            Changed::Done | Changed::Updated(_) => Err(Error::Stopped.into()),
        }
    }

    async fn change_in(
        &self,
        connection: &mut PgConnection,
        recorded: Recorded,
        caller: &PreparedCaller,
    ) -> Result<Changed> {
        transaction::prepare(connection, self.statements()).await?;
        let recorded = Arc::new(recorded);
        transaction::apply(connection, self.statements(), &recorded, Some(caller)).await
    }
}
