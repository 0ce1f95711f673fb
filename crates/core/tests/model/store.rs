//! A store that keeps the contract, and knows when what it promises begins.

#[expect(dead_code, unreachable_pub, reason = "the product's, as it is")]
#[path = "../../src/store/lease.rs"]
mod lease;

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

use shuttle::sync::{Mutex, MutexGuard};

pub(crate) use self::lease::{Lease, Stamp, Watch};
use crate::{
    Key, KeyId,
    fault::{self, Fault},
    promise::{Promise, Promises},
    time,
    verifier::{Fingerprint, TokenMac},
};

/// How long after it was asked the other handle may use its copies.
pub(crate) const TERM: u64 = 4;

/// What is kept of a key.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) key: Key,
    /// The one token that opens it.
    pub(crate) token: TokenMac,
    pub(crate) hash: Fingerprint,
    pub(crate) version: u64,
}

#[derive(Default)]
pub(crate) struct Tables {
    pub(crate) rows: BTreeMap<KeyId, Row>,
    /// Which records have changed, for those who ask.
    changes: Vec<KeyId>,
}

/// What all handles have in common.
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

/// One handle of a database, with its lease.
#[derive(Clone)]
pub(crate) struct Handle {
    pub(crate) database: Arc<Database>,
    pub(crate) lease: Arc<Lease>,
    /// How long after a change was acknowledged through another handle it counts here.
    pub(crate) bound: u64,
}

impl Handle {
    /// The one through which changes are made, which knows of them at once.
    pub(crate) fn own(database: &Arc<Database>) -> Self {
        Self {
            database: Arc::clone(database),
            lease: Arc::new(Lease::unlimited()),
            bound: 0,
        }
    }

    /// One that must ask.
    pub(crate) fn other(database: &Arc<Database>) -> Self {
        Self {
            database: Arc::clone(database),
            lease: Arc::new(Lease::lapsed()),
            bound: TERM,
        }
    }

    pub(crate) fn find(&self, id: &KeyId) -> Option<Row> {
        self.database.tables().rows.get(id).cloned()
    }

    /// Commits a change, tells of it, acknowledges it. What the change names has changed, and what
    /// it promises holds from the acknowledgement on.
    pub(crate) fn commit(
        &self,
        change: impl FnOnce(&mut Tables) -> Vec<(KeyId, Option<Promise>)>,
        names: &[KeyId],
    ) {
        let tell = || names.iter().for_each(|id| self.lease.changed(id));
        let commit = || {
            let mut tables = self.database.tables();
            let made = change(&mut tables);
            tables.changes.extend(made.iter().map(|(id, _)| *id));
            made
        };
        let acknowledge = |made: Vec<(KeyId, Option<Promise>)>| {
            for (id, promise) in made {
                if let Some(promise) = promise {
                    self.database.promises.make(id, promise, time::millis());
                }
            }
        };
        match fault::planted() {
            Some(Fault::ToldBeforeCommit) => {
                tell();
                acknowledge(commit());
            }
            Some(Fault::ToldAfterAcknowledgement) => {
                acknowledge(commit());
                tell();
            }
            _ => {
                let made = commit();
                tell();
                acknowledge(made);
            }
        }
    }

    /// Replaces a hash, as the contract has it: not of a key that is revoked or has changed.
    pub(crate) fn rehash(&self, id: KeyId, version: u64, hash: Fingerprint) -> bool {
        let mut tables = self.database.tables();
        match tables.rows.get_mut(&id) {
            Some(row) if row.version == version && row.key.revoked_at.is_none() => {
                row.hash = hash;
                row.version += 1;
            }
            _ => return false,
        }
        tables.changes.push(id);
        drop(tables);
        self.lease.changed(&id);
        true
    }

    /// Asks what others have changed, after as many changes as were seen, tells of it, and extends
    /// the lease: as many changes as are seen now. The answer is under way for some milliseconds.
    pub(crate) fn poll(&self, seen: usize, learnt: Learnt, under_way: u64) -> usize {
        let mut asked = self.lease.now();
        let changes = self.database.tables().changes.clone();
        (0..under_way).for_each(|_| time::advance(1));
        if fault::is(Fault::ExtendedFromTheAnswer) {
            asked = self.lease.now();
        }
        let extend = || self.lease.extend(asked + Duration::from_millis(TERM));
        if fault::is(Fault::ExtendedBeforeTold) {
            extend();
        }
        match learnt {
            Learnt::Which => changes
                .iter()
                .skip(seen)
                .for_each(|id| self.lease.changed(id)),
            Learnt::Whether if changes.len() > seen => self.lease.changed_all(),
            Learnt::Whether => {}
        }
        if !fault::is(Fault::ExtendedBeforeTold) {
            extend();
        }
        changes.len()
    }
}

/// What a handle that asks is told.
#[derive(Clone, Copy)]
pub(crate) enum Learnt {
    /// Which records have changed.
    Which,
    /// Only that some have.
    Whether,
}
