//! Changes that a host makes in a transaction of its own database.

use super::{IssueError, Issued, Issuer, restricted};
use crate::{
    Caller, Changes, Event, EventKind, Key, KeyId, KeyUpdate, NewKey, Reach, Revocation, Timestamp,
    Token, Verifier, Workspace,
    store::{Record, Settings, StoreErrorKind},
};

/// The caller of a prepared change. It may be revoked, restricted or expire between the preparation
/// and the transaction of the host.
#[derive(Clone, Debug)]
pub struct PreparedCaller {
    /// The caller, restricted to what its key could do at the preparation.
    caller: Caller,
    verifier: Verifier,
}

impl PreparedCaller {
    /// Returns the key of the caller, which the transaction locks and then [checks](Self::check).
    #[must_use]
    pub fn key(&self) -> Option<&KeyId> {
        self.caller.key()
    }

    /// Checks that the caller may still do what it could do when the change was prepared. `record`
    /// is that of its key, as the transaction reads it. The transaction must keep others from
    /// changing this record until it ends.
    ///
    /// # Errors
    ///
    /// `Conflict` if the caller has expired, or if its key is missing, not active, or updated to do
    /// less. The change can then be prepared again, which returns the reason.
    pub fn check(&self, record: Option<&Record>) -> Result<(), StoreErrorKind> {
        let now = self.verifier.expiry_now();
        let is_unchanged = match (self.key(), record) {
            (None, _) => self.caller.is_current(now),
            (Some(id), Some(record)) if record.key.id == *id => {
                let current = restricted(&self.caller, &record.key, now);
                current.is_ok_and(|current| current == self.caller)
            }
            (Some(_), _) => false,
        };
        if is_unchanged {
            Ok(())
        } else {
            Err(StoreErrorKind::Conflict)
        }
    }
}

/// A key that a host creates in a transaction of its own database. See [`Issuer::prepare`].
///
/// It contains the token. If the transaction is rolled back, drop this: the token was never valid.
#[expect(missing_debug_implementations, reason = "a secret is never printed")]
#[must_use]
pub struct PreparedKey {
    record: Record,
    token: Token,
    event: Event,
    writes_event: bool,
    now: Timestamp,
    caller: PreparedCaller,
}

impl PreparedKey {
    /// Returns the record to insert.
    #[must_use]
    pub const fn record(&self) -> &Record {
        &self.record
    }

    /// Returns the key, without its token.
    #[must_use]
    pub const fn key(&self) -> &Key {
        &self.record.key
    }

    /// Returns the event to append with the record.
    #[must_use]
    pub fn event(&self) -> Option<&Event> {
        self.writes_event.then_some(&self.event)
    }

    /// Returns the time at which the parent must be active.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Returns the caller, which the store checks again in the transaction.
    #[must_use]
    pub const fn caller(&self) -> &PreparedCaller {
        &self.caller
    }
}

/// An update that a host makes in a transaction of its own database. See
/// [`Issuer::prepare_update`].
#[derive(Clone, Debug)]
#[must_use]
pub struct PreparedUpdate {
    record: Record,
    settings: Settings,
    event: Event,
    writes_event: bool,
    caller: PreparedCaller,
}

impl PreparedUpdate {
    /// Returns the workspace of the key.
    #[must_use]
    pub const fn workspace(&self) -> &Workspace {
        &self.record.key.workspace
    }

    /// Returns the id of the key.
    #[must_use]
    pub const fn id(&self) -> &KeyId {
        &self.record.key.id
    }

    /// Returns the version that the record must have.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.record.version
    }

    /// Returns the settings to write.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the event to append with the change.
    #[must_use]
    pub fn event(&self) -> Option<&Event> {
        self.writes_event.then_some(&self.event)
    }

    /// Returns the caller, which the store checks again in the transaction.
    #[must_use]
    pub const fn caller(&self) -> &PreparedCaller {
        &self.caller
    }
}

/// A revocation that a host makes in a transaction of its own database. See
/// [`Issuer::prepare_revocation`].
#[derive(Clone, Debug)]
#[must_use]
pub struct PreparedRevocation {
    workspace: Workspace,
    id: KeyId,
    reach: Reach,
    event: Event,
    writes_event: bool,
    now: Timestamp,
    caller: PreparedCaller,
}

impl PreparedRevocation {
    /// Returns the workspace of the key.
    #[must_use]
    pub const fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// Returns the id of the key.
    #[must_use]
    pub const fn id(&self) -> &KeyId {
        &self.id
    }

    /// Returns the keys to revoke.
    #[must_use]
    pub const fn reach(&self) -> Reach {
        self.reach
    }

    /// Returns the event to append with the change.
    #[must_use]
    pub fn event(&self) -> Option<&Event> {
        self.writes_event.then_some(&self.event)
    }

    /// Returns the time of the revocation.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Returns the caller, which the store checks again in the transaction.
    #[must_use]
    pub const fn caller(&self) -> &PreparedCaller {
        &self.caller
    }
}

/// Changes in a transaction of the host. The store must be able to take part in it, such as the one
/// of `keywright-store-postgres`:
///
/// 1. Prepare the change. This checks the caller, and hashes the secret of a new key.
/// 2. Pass it to the store together with the transaction. The store checks the caller again, and
///    keeps its key as it is until the transaction ends. If the caller has been revoked, restricted
///    or has expired since, the store rejects the change with
///    [`Conflict`](crate::store::StoreErrorKind::Conflict).
/// 3. Commit the transaction, and report that here.
impl Issuer {
    /// Prepares a new key for a transaction of the host. Checks and hashes as
    /// [`create`](Self::create) does, and writes nothing.
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create).
    pub async fn prepare(&self, caller: &Caller, new: NewKey) -> Result<PreparedKey, IssueError> {
        let caller = &self.current(caller).await?;
        let now = self.verifier.now();
        let draft = self.draft(caller, new, now)?;
        let (record, token) = self.mint_draft(&draft, None, now).await?;
        let changes = Changes::of_new(&record.key);
        let event = self.event(caller, &record.key, EventKind::Created, changes)?;
        Ok(PreparedKey {
            record,
            token,
            event,
            writes_event: self.recorder.writes,
            now,
            caller: self.prepared_caller(caller),
        })
    }

    /// Reports that the host has committed a prepared key, and returns it with its token.
    #[must_use]
    pub fn committed(&self, prepared: PreparedKey) -> Issued {
        self.recorder.report::<()>(&prepared.event, &Ok(()));
        Issued {
            key: prepared.record.key,
            token: prepared.token,
            confirmed: true,
        }
    }

    /// Prepares an update for a transaction of the host. Checks as [`update`](Self::update) does,
    /// and writes nothing.
    ///
    /// # Errors
    ///
    /// As for [`update`](Self::update). The store rejects the change with
    /// [`Conflict`](crate::store::StoreErrorKind::Conflict) if the key has changed since.
    pub async fn prepare_update(
        &self,
        caller: &Caller,
        id: &KeyId,
        update: &KeyUpdate,
    ) -> Result<PreparedUpdate, IssueError> {
        self.check_origin(caller)?;
        let caller = &self.current_in_store(caller).await?;
        let (record, changed) = self.plan_update(caller, id, update).await?;
        let changes = Changes::between(&record.key, &changed);
        let event = self.event(caller, &changed, EventKind::Updated, changes)?;
        Ok(PreparedUpdate {
            record,
            settings: Settings::from(&changed),
            event,
            writes_event: self.recorder.writes,
            caller: self.prepared_caller(caller),
        })
    }

    /// Reports that the host has committed a prepared update. The verifiers of this process apply
    /// it at once. Without this, they apply it within the bound of the store.
    pub fn committed_update(&self, prepared: &PreparedUpdate) {
        self.verifier.store().lease().changed(prepared.id());
        self.recorder.report::<()>(&prepared.event, &Ok(()));
    }

    /// Prepares a revocation for a transaction of the host. Checks as [`revoke`](Self::revoke)
    /// does, and writes nothing.
    ///
    /// # Errors
    ///
    /// As for [`revoke`](Self::revoke).
    pub async fn prepare_revocation(
        &self,
        caller: &Caller,
        id: &KeyId,
        reach: Reach,
    ) -> Result<PreparedRevocation, IssueError> {
        let caller = &self.current(caller).await?;
        let event = self.plan_revocation(caller, id, reach).await?;
        Ok(PreparedRevocation {
            workspace: caller.workspace().clone(),
            id: *id,
            reach,
            event,
            writes_event: self.recorder.writes,
            now: self.verifier.now(),
            caller: self.prepared_caller(caller),
        })
    }

    /// Reports that the host has committed a prepared revocation, with the result of the store. The
    /// verifiers of this process reject the keys at once. Without this, they reject them within the
    /// bound of the store.
    pub fn committed_revocation(&self, prepared: PreparedRevocation, revocation: Revocation) {
        if revocation.count == 0 {
            return;
        }
        let lease = self.verifier.store().lease();
        match prepared.reach {
            Reach::Key => lease.changed(&prepared.id),
            Reach::Descendants => lease.changed_all(),
        }
        let event = prepared.event.with_count(revocation.count);
        self.recorder.report(&event, &Ok(()));
    }

    fn prepared_caller(&self, caller: &Caller) -> PreparedCaller {
        PreparedCaller {
            caller: caller.clone(),
            verifier: self.verifier.clone(),
        }
    }
}
