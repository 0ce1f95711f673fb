//! Changes of records: which rows they lock, and their effect on these rows.
//!
//! The rules run here, on the rows that a transaction has locked, and not in SQL: they are written
//! once, in `keywright_core`.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
};

use keywright_core::{
    Event, KeyId, PreparedCaller, Revocation, Timestamp, VersionedKey, Workspace,
    store::{Alias, Credential, Record, Rotation, Settings, StoreErrorKind, Tenant},
};

use crate::{
    error::{Error, Result},
    transaction::Recorded,
};

/// A change of records that are known before it starts. A cascade is not one.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Insert {
        record: Record,
        now: Timestamp,
    },
    Update {
        workspace: Workspace,
        id: KeyId,
        version: u64,
        settings: Settings,
    },
    Revoke {
        workspace: Workspace,
        id: KeyId,
        now: Timestamp,
    },
    Rotate {
        workspace: Workspace,
        rotation: Rotation,
        now: Timestamp,
    },
    Rehash {
        id: KeyId,
        version: u64,
        credential: Credential,
    },
}

/// The result of a change.
#[derive(Clone, Debug)]
pub(crate) enum Changed {
    Done,
    Updated(VersionedKey),
    Revoked(Revocation),
}

impl Change {
    /// The tenant on whose behalf the change is made. A verifier has none.
    pub(crate) fn tenant(&self) -> Tenant {
        match self {
            Self::Insert { record, .. } => Some(record.key.workspace.clone()),
            Self::Update { workspace, .. }
            | Self::Revoke { workspace, .. }
            | Self::Rotate { workspace, .. } => Some(workspace.clone()),
            Self::Rehash { .. } => None,
        }
    }

    /// The records that the change replaces, and those of new keys, which must not exist yet.
    pub(crate) fn changed_ids(&self) -> impl Iterator<Item = KeyId> {
        let (first, second) = match self {
            Self::Insert { record, .. } => (record.key.id, None),
            Self::Update { id, .. } | Self::Revoke { id, .. } | Self::Rehash { id, .. } => {
                (*id, None)
            }
            Self::Rotate { rotation, .. } => {
                (rotation.predecessor, Some(rotation.successor.key.id))
            }
        };
        [Some(first), second].into_iter().flatten()
    }

    /// The record whose copies the change makes stale.
    pub(crate) const fn stale_id(&self) -> Option<KeyId> {
        match self {
            Self::Insert { .. } => None,
            Self::Update { id, .. } | Self::Revoke { id, .. } | Self::Rehash { id, .. } => {
                Some(*id)
            }
            Self::Rotate { rotation, .. } => Some(rotation.predecessor),
        }
    }

    /// The alias of a new key, which must not be in use.
    pub(crate) const fn alias(&self) -> Option<Alias> {
        match self {
            Self::Insert { record, .. } => record.alias,
            Self::Update { .. }
            | Self::Revoke { .. }
            | Self::Rotate { .. }
            | Self::Rehash { .. } => None,
        }
    }

    /// Whether the change depends on no stored record, except that its id and its alias must not
    /// be in use.
    pub(crate) const fn is_independent(&self) -> bool {
        matches!(self, Self::Insert { record, .. } if record.key.parent.is_none())
    }

    /// The key that must admit the new one.
    pub(crate) fn admitting_id(&self) -> Option<KeyId> {
        match self {
            Self::Insert { record, .. } => record.key.parent,
            Self::Rotate { rotation, .. } => rotation.successor.key.rotated_by,
            Self::Update { .. } | Self::Revoke { .. } | Self::Rehash { .. } => None,
        }
    }
}

/// The rows that a transaction has locked, and what it is going to write.
#[derive(Default)]
pub(crate) struct Locked {
    /// The records, as the transaction leaves them. `Err` is a record that cannot be read.
    records: BTreeMap<KeyId, Result<Record>>,
    /// The records that another transaction has locked. They may be outdated, except for their
    /// workspaces, which never change.
    busy: BTreeSet<KeyId>,
    /// The aliases in use.
    aliases: BTreeSet<Alias>,
    pub(crate) inserted: BTreeSet<KeyId>,
    pub(crate) changed: BTreeSet<KeyId>,
    pub(crate) events: Vec<Event>,
}

impl Locked {
    pub(crate) fn add(&mut self, id: KeyId, record: Result<Record>) {
        self.records.insert(id, record);
    }

    pub(crate) fn add_alias(&mut self, alias: Alias) {
        self.aliases.insert(alias);
    }

    /// Returns a locked record.
    pub(crate) fn get(&self, id: &KeyId) -> Option<&Result<Record>> {
        self.records.get(id)
    }

    pub(crate) fn contains(&self, id: &KeyId) -> bool {
        self.records.contains_key(id)
    }

    /// Checks the caller of a prepared change, whose key is locked.
    pub(crate) fn check_caller(&self, caller: &PreparedCaller) -> Result<()> {
        let record = caller.key().and_then(|id| self.records.get(id));
        let record = record.map(Result::as_ref).transpose();
        Ok(caller.check(record.map_err(Clone::clone)?)?)
    }

    /// Returns the successor of a record.
    pub(crate) fn successor(&self, id: &KeyId) -> Option<KeyId> {
        self.records.get(id)?.as_ref().ok()?.key.successor
    }

    /// Removes the records that another transaction has locked, and returns their ids.
    pub(crate) fn take_busy(&mut self) -> BTreeSet<KeyId> {
        let busy = mem::take(&mut self.busy);
        self.records.retain(|id, _| !busy.contains(id));
        busy
    }

    pub(crate) fn add_busy(&mut self, id: KeyId, record: Result<Record>) {
        self.add(id, record);
        self.busy.insert(id);
    }

    /// Returns the records that the transaction inserts or changes.
    pub(crate) fn written<'l>(
        &'l self,
        ids: &'l BTreeSet<KeyId>,
    ) -> impl Iterator<Item = &'l Record> {
        let records = ids.iter().filter_map(|id| self.records.get(id));
        records.filter_map(|record| record.as_ref().ok())
    }

    /// Makes changes one after another.
    pub(crate) fn apply_all(&mut self, changes: &[Arc<Recorded>]) -> Vec<Result<Changed>> {
        let apply =
            |recorded: &Arc<Recorded>| self.apply(&recorded.change, recorded.event.as_ref());
        changes.iter().map(apply).collect()
    }

    /// Makes a change, and appends its event. A change that fails leaves everything as it is.
    pub(crate) fn apply(&mut self, change: &Change, event: Option<&Event>) -> Result<Changed> {
        let changed = match change {
            Change::Insert { record, now } => self.insert(record, *now)?,
            Change::Update {
                workspace,
                id,
                version,
                settings,
            } => {
                let updated = self.change(Some(workspace), id, |record| {
                    record.update(*version, settings.clone())
                })?;
                Changed::Updated(updated)
            }
            Change::Revoke { workspace, id, now } => {
                let first = self.revoke(workspace, id, *now)?;
                if !first {
                    return Ok(Changed::Revoked(Revocation::new(false, 0)));
                }
                Changed::Revoked(Revocation::new(true, 1))
            }
            Change::Rotate {
                workspace,
                rotation,
                now,
            } => self.rotate(workspace, rotation, *now)?,
            Change::Rehash {
                id,
                version,
                credential,
            } => {
                self.change(None, id, |record| {
                    record.rehash(*version, credential.clone())
                })?;
                Changed::Done
            }
        };
        let count = match &changed {
            Changed::Revoked(revocation) => revocation.count,
            Changed::Done | Changed::Updated(_) => 0,
        };
        self.events
            .extend(event.map(|event| event.clone().with_count(count)));
        Ok(changed)
    }

    /// Revokes a record, and returns whether this changed it.
    pub(crate) fn revoke(
        &mut self,
        workspace: &Workspace,
        id: &KeyId,
        now: Timestamp,
    ) -> Result<bool> {
        let record = self.in_workspace(Some(workspace), id)?;
        let first = record.revoke(now);
        if first {
            self.changed.insert(*id);
        }
        Ok(first)
    }

    fn insert(&mut self, record: &Record, now: Timestamp) -> Result<Changed> {
        self.check_unused(&record.key.id)?;
        if record
            .alias
            .is_some_and(|alias| self.aliases.contains(&alias))
        {
            return Err(StoreErrorKind::AlreadyExists.into());
        }
        if let Some(parent) = &record.key.parent {
            self.check_admits(parent, record, now)?;
        }
        self.add_new(record);
        Ok(Changed::Done)
    }

    fn rotate(
        &mut self,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
    ) -> Result<Changed> {
        let successor = &rotation.successor;
        let mut predecessor = self
            .in_workspace(Some(workspace), &rotation.predecessor)?
            .clone();
        predecessor.retire(rotation.version, rotation.retire, successor.key.id, now)?;
        if let Some(caller) = &successor.key.rotated_by {
            self.check_admits(caller, successor, now)?;
        }
        self.check_unused(&successor.key.id)?;
        self.changed.insert(predecessor.key.id);
        self.add(predecessor.key.id, Ok(predecessor));
        self.add_new(successor);
        Ok(Changed::Done)
    }

    fn add_new(&mut self, record: &Record) {
        self.inserted.insert(record.key.id);
        self.aliases.extend(record.alias);
        self.add(record.key.id, Ok(record.clone()));
    }

    fn change(
        &mut self,
        workspace: Option<&Workspace>,
        id: &KeyId,
        apply: impl FnOnce(&mut Record) -> Result<(), StoreErrorKind>,
    ) -> Result<VersionedKey> {
        let record = self.in_workspace(workspace, id)?;
        apply(record)?;
        let changed = VersionedKey::new(record.key.clone(), record.version);
        self.changed.insert(*id);
        Ok(changed)
    }

    fn check_unused(&self, id: &KeyId) -> Result<()> {
        if self.records.contains_key(id) {
            Err(StoreErrorKind::AlreadyExists.into())
        } else {
            Ok(())
        }
    }

    /// Checks that the key with this id exists and admits `child`. A record that cannot be read
    /// admits nothing.
    fn check_admits(&self, id: &KeyId, child: &Record, now: Timestamp) -> Result<()> {
        match self.records.get(id) {
            Some(Ok(record))
                if self.busy.contains(id) && record.key.workspace == child.key.workspace =>
            {
                Err(Error::Locked)
            }
            Some(Ok(record)) if record.key.admits(&child.key, now) => Ok(()),
            Some(Err(error)) => Err(error.clone()),
            _ => Err(StoreErrorKind::Conflict.into()),
        }
    }

    fn in_workspace(&mut self, workspace: Option<&Workspace>, id: &KeyId) -> Result<&mut Record> {
        match self.records.get_mut(id) {
            Some(Ok(record)) if workspace.is_none_or(|own| record.key.workspace == *own) => {
                if self.busy.contains(id) {
                    return Err(Error::Locked);
                }
                Ok(record)
            }
            Some(Err(error)) => Err(error.clone()),
            _ => Err(Error::Rejected(StoreErrorKind::NotFound)),
        }
    }
}
