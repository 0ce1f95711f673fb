//! Keys in memory.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::{
    Durability, KeyStore, Lease, Purge, Reach, Rename, Reservation, Reserved, Retire, Revocation,
    Rotation, StoreError, StoreErrorKind,
};
use crate::{
    Environment, Key, KeyId, ListKeys, ListStart, Page, Prefix, Record, Status, Timestamp,
    Workspace, hash::Credential, name::fold_case,
};

/// Keys in the memory of this process: for tests, for trying things out, and as the plainest reading
/// of the contract. Its durability is [`Durability::Process`]. A key that was revoked is refused at
/// once.
#[derive(Debug)]
pub struct MemoryStore {
    contents: Mutex<Contents>,
    lease: Arc<Lease>,
}

#[derive(Debug, Default)]
struct Contents {
    records: BTreeMap<KeyId, Record>,
    reservations: HashMap<[u8; 32], Reservation>,
    prefix: Option<Prefix>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self {
            contents: Mutex::default(),
            lease: Arc::new(Lease::unlimited()),
        }
    }

    /// Nothing here panics between two changes of one operation, so what a panicking thread has
    /// left behind is whole.
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

const fn error(kind: StoreErrorKind) -> StoreError {
    StoreError::new(kind, "memory")
}

impl Contents {
    fn in_workspace(
        &mut self,
        workspace: &Workspace,
        id: &KeyId,
    ) -> Result<&mut Record, StoreError> {
        self.records
            .get_mut(id)
            .filter(|record| record.key.workspace == *workspace)
            .ok_or(error(StoreErrorKind::NotFound))
    }

    /// Whether a key may make another one.
    fn admits(&self, id: &KeyId, made: &Key, now: Timestamp) -> bool {
        self.records
            .get(id)
            .is_some_and(|record| record.key.admits(&made.workspace, made.expires_at, now))
    }

    /// The key and all that it created or was rotated into.
    fn family(&self, root: KeyId) -> HashSet<KeyId> {
        let mut family = HashSet::from([root]);
        loop {
            let next: Vec<KeyId> = self
                .records
                .values()
                .flat_map(|Record { key, .. }| {
                    let child = key
                        .parent
                        .filter(|parent| family.contains(parent))
                        .map(|_| key.id);
                    let successor = key.successor.filter(|_| family.contains(&key.id));
                    [child, successor]
                })
                .flatten()
                .filter(|id| !family.contains(id))
                .collect();
            if next.is_empty() {
                return family;
            }
            family.extend(next);
        }
    }

    /// From the newest to the oldest, since what descends from a key is newer: so whole families go
    /// in one call.
    fn purge(&mut self, purge: &Purge) -> u64 {
        let mut children: HashMap<KeyId, u64> = HashMap::new();
        for parent in self.records.values().filter_map(|record| record.key.parent) {
            *children.entry(parent).or_default() += 1;
        }
        let candidates: Vec<_> = self
            .records
            .values()
            .rev()
            .filter(|record| purge.covers(&record.key))
            .map(|Record { key, .. }| (key.id, key.parent, key.successor))
            .collect();
        let mut count = 0;
        for (id, parent, successor) in candidates {
            if count == u64::from(purge.limit) {
                break;
            }
            let is_followed = successor.is_some_and(|heir| self.records.contains_key(&heir));
            if is_followed || children.get(&id).is_some_and(|count| *count > 0) {
                continue;
            }
            self.records.remove(&id);
            if let Some(count) = parent.and_then(|parent| children.get_mut(&parent)) {
                *count -= 1;
            }
            count += 1;
        }
        count
    }
}

/// Fails unless a conditional update may go ahead.
fn check_unchanged(record: &Record, version: u64) -> Result<(), StoreError> {
    if record.key.revoked_at.is_some() {
        Err(error(StoreErrorKind::NotFound))
    } else if record.version != version {
        Err(error(StoreErrorKind::Conflict))
    } else {
        Ok(())
    }
}

#[async_trait]
impl KeyStore for MemoryStore {
    async fn insert(&self, record: &Record, now: Timestamp) -> Result<(), StoreError> {
        let mut contents = self.contents();
        let key = &record.key;
        if contents.records.contains_key(&key.id) {
            return Err(error(StoreErrorKind::AlreadyExists));
        }
        if key
            .parent
            .is_some_and(|parent| !contents.admits(&parent, key, now))
        {
            return Err(error(StoreErrorKind::Conflict));
        }
        contents.records.insert(key.id, record.clone());
        Ok(())
    }

    async fn find(&self, id: &KeyId) -> Result<Option<Record>, StoreError> {
        Ok(self.contents().records.get(id).cloned())
    }

    async fn list(
        &self,
        workspace: &Workspace,
        environment: Environment,
        list: &ListKeys<KeyId>,
        now: Timestamp,
    ) -> Result<Page<KeyId>, StoreError> {
        let contents = self.contents();
        let search = list.search.as_deref().map(fold_case);
        let matching = contents
            .records
            .values()
            .rev()
            .map(|record| &record.key)
            .filter(|key| {
                key.workspace == *workspace
                    && environment.covers(key.environment)
                    && list.status.is_none_or(|status| key.status(now) == status)
                    && search
                        .as_ref()
                        .is_none_or(|text| fold_case(key.name.as_str()).contains(text))
            });
        let size = usize::try_from(list.limit)
            .unwrap_or(usize::MAX)
            .saturating_add(1);
        let (keys, total): (Vec<Key>, _) = match list.start {
            ListStart::Offset(offset) => {
                let total = matching.clone().count();
                let offset = usize::try_from(offset).unwrap_or(usize::MAX);
                (
                    matching.skip(offset).take(size).cloned().collect(),
                    Some(total as u64),
                )
            }
            ListStart::After(id) => (
                matching
                    .filter(|key| key.id < id)
                    .take(size)
                    .cloned()
                    .collect(),
                None,
            ),
        };
        Ok(Page::cut(keys, list.limit, total))
    }

    async fn rename(
        &self,
        workspace: &Workspace,
        id: &KeyId,
        version: u64,
        rename: &Rename,
    ) -> Result<Key, StoreError> {
        let mut contents = self.contents();
        let record = contents.in_workspace(workspace, id)?;
        check_unchanged(record, version)?;
        if let Some(name) = &rename.name {
            record.key.name = name.clone();
        }
        if let Some(metadata) = &rename.metadata {
            record.key.metadata = Some(metadata.clone());
        }
        record.version += 1;
        let key = record.key.clone();
        drop(contents);
        self.lease.changed(id);
        Ok(key)
    }

    async fn revoke(
        &self,
        workspace: &Workspace,
        id: &KeyId,
        reach: Reach,
        now: Timestamp,
    ) -> Result<Revocation, StoreError> {
        let mut contents = self.contents();
        let first = contents
            .in_workspace(workspace, id)?
            .key
            .revoked_at
            .is_none();
        let reached = match reach {
            Reach::Key => HashSet::from([*id]),
            Reach::Descendants => contents.family(*id),
        };
        let mut revoked = Vec::new();
        for id in reached {
            if let Some(record) = contents.records.get_mut(&id)
                && record.key.revoked_at.is_none()
            {
                record.key.revoked_at = Some(now);
                record.version += 1;
                revoked.push(id);
            }
        }
        drop(contents);
        for id in &revoked {
            self.lease.changed(id);
        }
        Ok(Revocation::new(first, revoked.len() as u64))
    }

    async fn rotate(
        &self,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut contents = self.contents();
        let taken = contents.records.contains_key(&rotation.successor.key.id);
        let may = rotation
            .caller
            .is_none_or(|caller| contents.admits(&caller, &rotation.successor.key, now));
        let record = contents.in_workspace(workspace, &rotation.predecessor)?;
        check_unchanged(record, rotation.version)?;
        if !may || record.key.successor.is_some() || record.key.status(now) != Status::Active {
            return Err(error(StoreErrorKind::Conflict));
        }
        if taken {
            return Err(error(StoreErrorKind::AlreadyExists));
        }
        match rotation.retire {
            Retire::Now => record.key.revoked_at = Some(now),
            Retire::At(end) => {
                record.key.expires_at = Some(
                    record
                        .key
                        .expires_at
                        .map_or(end, |earlier| earlier.min(end)),
                );
            }
        }
        record.key.successor = Some(rotation.successor.key.id);
        record.version += 1;
        contents
            .records
            .insert(rotation.successor.key.id, rotation.successor.clone());
        drop(contents);
        self.lease.changed(&rotation.predecessor);
        Ok(())
    }

    async fn rehash(
        &self,
        id: &KeyId,
        version: u64,
        credential: &Credential,
    ) -> Result<(), StoreError> {
        let mut contents = self.contents();
        let record = contents
            .records
            .get_mut(id)
            .ok_or(error(StoreErrorKind::NotFound))?;
        check_unchanged(record, version)?;
        record.credential = credential.clone();
        record.version += 1;
        drop(contents);
        self.lease.changed(id);
        Ok(())
    }

    async fn touch(&self, uses: &[(KeyId, Timestamp)]) -> Result<(), StoreError> {
        let mut contents = self.contents();
        for (id, time) in uses {
            if let Some(record) = contents.records.get_mut(id) {
                record.key.last_used_at = record.key.last_used_at.max(Some(*time));
            }
        }
        Ok(())
    }

    async fn reserve(
        &self,
        reservation: &Reservation,
        now: Timestamp,
    ) -> Result<Reserved, StoreError> {
        let mut contents = self.contents();
        contents
            .reservations
            .retain(|_, earlier| earlier.until > now);
        if let Some(Reservation {
            id, fingerprint, ..
        }) = contents.reservations.get(&reservation.key)
        {
            return Ok(Reserved::Earlier {
                id: *id,
                fingerprint: *fingerprint,
            });
        }
        contents
            .reservations
            .insert(reservation.key, reservation.clone());
        Ok(Reserved::New)
    }

    async fn purge(&self, purge: &Purge) -> Result<u64, StoreError> {
        Ok(self.contents().purge(purge))
    }

    async fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(self.contents().records.is_empty())
    }

    async fn claim_prefix(&self, prefix: &Prefix) -> Result<Prefix, StoreError> {
        Ok(self
            .contents()
            .prefix
            .get_or_insert_with(|| prefix.clone())
            .clone())
    }

    fn durability(&self) -> Durability {
        Durability::Process
    }

    fn lease(&self) -> Arc<Lease> {
        Arc::clone(&self.lease)
    }
}
