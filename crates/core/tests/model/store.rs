//! A store that keeps the contract, and records when its promises begin.

#[expect(dead_code, unreachable_pub, reason = "the library's source")]
#[path = "../../src/store/lease.rs"]
mod lease;
#[expect(dead_code, unreachable_pub, reason = "the library's source")]
#[allow(
    unfulfilled_lint_expectations,
    reason = "its types are not public here, so lints of public types do not apply"
)]
#[path = "../../src/store/record.rs"]
mod record;
// The name that `record.rs` imports from its parent.
mod alias {
    pub(crate) use keywright_core::store::Alias;
}
mod error {
    pub(crate) use keywright_core::store::StoreErrorKind;
}

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

use shuttle::sync::{Mutex, MutexGuard};

pub(crate) use keywright_core::store::StoreError;

pub(crate) use self::{
    lease::{Lease, Stamp, Watch},
    record::{Record, Settings},
};
use crate::{
    KeyId,
    fault::{self, Fault},
    hash::Credential,
    promise::{Promise, Promises},
    time,
};

/// How long a lease holds after the request of a poll, in milliseconds.
pub(crate) const TERM: u64 = 4;

#[derive(Default)]
pub(crate) struct Tables {
    pub(crate) records: BTreeMap<KeyId, Record>,
    /// The ids of all records that were changed, in order.
    changes: Vec<KeyId>,
}

/// The database that all handles share.
#[derive(Default)]
pub(crate) struct Database {
    tables: Mutex<Tables>,
    pub(crate) promises: Promises,
}

impl Database {
    pub(crate) fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handle of a database, with its lease.
#[derive(Clone)]
pub(crate) struct Handle {
    pub(crate) database: Arc<Database>,
    pub(crate) lease: Arc<Lease>,
    /// The time after which this handle has applied changes that another handle acknowledged.
    pub(crate) bound: u64,
}

impl Handle {
    /// Creates the handle through which changes are made. It applies them at once.
    pub(crate) fn writer(database: &Arc<Database>) -> Self {
        Self {
            database: Arc::clone(database),
            lease: Arc::new(Lease::unlimited()),
            bound: 0,
        }
    }

    /// Creates a handle that polls for changes.
    pub(crate) fn reader(database: &Arc<Database>) -> Self {
        Self {
            database: Arc::clone(database),
            lease: Arc::new(Lease::lapsed()),
            bound: TERM,
        }
    }

    pub(crate) fn find(&self, id: &KeyId) -> Option<Record> {
        self.database.tables().records.get(id).cloned()
    }

    /// Commits a change, publishes the ids in `published` and acknowledges the change. `change`
    /// returns the ids that it has changed, with the promises that begin at the acknowledgement.
    pub(crate) fn commit(
        &self,
        change: impl FnOnce(&mut Tables) -> Vec<(KeyId, Option<Promise>)>,
        published: &[KeyId],
    ) {
        let publish = || published.iter().for_each(|id| self.lease.changed(id));
        let commit = || {
            let mut tables = self.database.tables();
            let changed = change(&mut tables);
            tables.changes.extend(changed.iter().map(|(id, _)| *id));
            changed
        };
        let acknowledge = |changed: Vec<(KeyId, Option<Promise>)>| {
            for (id, promise) in changed {
                if let Some(promise) = promise {
                    self.database.promises.make(id, promise, time::millis());
                }
            }
        };
        match fault::planted() {
            Some(Fault::PublishedBeforeCommit) => {
                publish();
                acknowledge(commit());
            }
            Some(Fault::PublishedAfterAcknowledgement) => {
                acknowledge(commit());
                publish();
            }
            _ => {
                let changed = commit();
                publish();
                acknowledge(changed);
            }
        }
    }

    /// Replaces a credential, unless the key is revoked or its record has another version. Returns
    /// whether it was replaced.
    pub(crate) fn rehash(&self, id: &KeyId, version: u64, credential: &Credential) -> bool {
        let mut tables = self.database.tables();
        match tables.records.get_mut(id) {
            Some(record) if record.version == version && record.key.revoked_at.is_none() => {
                record.credential = credential.clone();
                record.version += 1;
            }
            _ => return false,
        }
        tables.changes.push(*id);
        drop(tables);
        self.lease.changed(id);
        true
    }

    /// Requests the changes after the first `seen`, publishes them and extends the lease. The
    /// response takes `latency` milliseconds. Returns the number of changes seen now.
    pub(crate) fn poll(&self, seen: usize, detail: ChangeDetail, latency: u64) -> usize {
        let mut requested = self.lease.now();
        let changes = self.database.tables().changes.clone();
        (0..latency).for_each(|_| time::advance(1));
        if fault::is(Fault::ExtendedFromResponse) {
            requested = self.lease.now();
        }
        let extend = || self.lease.extend(requested + Duration::from_millis(TERM));
        if fault::is(Fault::ExtendedBeforePublished) {
            extend();
        }
        match detail {
            ChangeDetail::Ids => changes
                .iter()
                .skip(seen)
                .for_each(|id| self.lease.changed(id)),
            ChangeDetail::Any if changes.len() > seen => self.lease.changed_all(),
            ChangeDetail::Any => {}
        }
        if !fault::is(Fault::ExtendedBeforePublished) {
            extend();
        }
        changes.len()
    }
}

/// The detail of the changes that a poll returns.
#[derive(Clone, Copy)]
pub(crate) enum ChangeDetail {
    /// The ids of the changed records.
    Ids,
    /// Only whether any record has changed.
    Any,
}
