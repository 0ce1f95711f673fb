//! Keys in memory.

mod transfer;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::{
    alias::Alias,
    durability::Durability,
    error::{StoreError, StoreErrorKind},
    key_store::KeyStore,
    lease::Lease,
    purge::{Purge, PurgeEvents},
    record::{Record, Settings},
    reservation::{Reservation, Reserved},
    revocation::{Reach, Revocation},
    rotation::Rotation,
    transfer::{Stage, TransferId},
};
use crate::{
    Environment, Event, EventId, EventOrder, EventPage, Key, KeyId, ListEvents, ListKeys,
    ListStart, Page, Prefix, Timestamp, VersionedKey, Workspace, hash::Credential, name::fold_case,
};

/// A store that keeps keys in the memory of this process.
///
/// It serves tests and experiments, and is the simplest implementation of the contract. Its
/// durability is [`Durability::Process`]. A revoked key is rejected at once.
#[derive(Debug)]
pub struct MemoryStore {
    contents: Mutex<Contents>,
    lease: Arc<Lease>,
}

#[derive(Debug)]
struct Contents {
    records: BTreeMap<KeyId, Record>,
    aliases: HashMap<Alias, KeyId>,
    reservations: HashMap<[u8; 32], Reservation>,
    events: BTreeMap<EventId, Event>,
    stage: Stage,
    id: Option<TransferId>,
}

impl MemoryStore {
    /// Creates an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self {
            contents: Mutex::new(Contents {
                records: BTreeMap::new(),
                aliases: HashMap::new(),
                reservations: HashMap::new(),
                events: BTreeMap::new(),
                stage: Stage::Unclaimed,
                id: None,
            }),
            lease: Arc::new(Lease::unlimited()),
        }
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        // No operation panics between two of its changes, so the contents are consistent even after
        // a panic on another thread.
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the contents for a change.
    fn change(&self) -> Result<MutexGuard<'_, Contents>, StoreError> {
        let contents = self.contents();
        if contents.stage.is_sealed() {
            return Err(error(StoreErrorKind::Moved));
        }
        Ok(contents)
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

/// Returns the values after an id.
fn after_id<'m, I: Ord, T>(map: &'m BTreeMap<I, T>, id: Option<&I>) -> impl Iterator<Item = &'m T> {
    let start = id.map_or(Bound::Unbounded, Bound::Excluded);
    map.range((start, Bound::Unbounded)).map(|(_, value)| value)
}

/// Returns the keys that received the secret of `key`: its parent, and the key that rotated its
/// predecessor.
fn receivers(key: &Key) -> impl Iterator<Item = KeyId> {
    [key.parent, key.rotated_by].into_iter().flatten()
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

    /// Whether the key with this id exists and admits `child`.
    fn admits(&self, id: &KeyId, child: &Key, now: Timestamp) -> bool {
        self.records
            .get(id)
            .is_some_and(|record| record.key.admits(child, now))
    }

    /// Returns the key and its descendants: its successor, the keys that it created, the keys that
    /// it received by rotating another, and their descendants.
    fn with_descendants(&self, root: KeyId) -> HashSet<KeyId> {
        let mut family = HashSet::from([root]);
        loop {
            let next: Vec<KeyId> = self
                .records
                .values()
                .flat_map(|Record { key, .. }| {
                    let received = receivers(key)
                        .any(|receiver| family.contains(&receiver))
                        .then_some(key.id);
                    let successor = key.successor.filter(|_| family.contains(&key.id));
                    [received, successor]
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

    /// Inserts or replaces a record.
    fn put(&mut self, record: Record) {
        let id = record.key.id;
        self.aliases.extend(record.alias.map(|alias| (alias, id)));
        self.records.insert(id, record);
    }

    /// Removes a record.
    fn take(&mut self, id: &KeyId) -> Option<Record> {
        let record = self.records.remove(id)?;
        // In a copy, another key may have the alias since.
        if let Some(alias) = record.alias
            && self.aliases.get(&alias) == Some(id)
        {
            self.aliases.remove(&alias);
        }
        Some(record)
    }

    fn append(&mut self, event: Option<&Event>) {
        self.events
            .extend(event.map(|event| (event.id, event.clone())));
    }

    /// Deletes the records that the purge covers and returns how many.
    fn purge(&mut self, purge: &Purge) -> u64 {
        // The number of records that name a key as one of their receivers.
        let mut received: HashMap<KeyId, u64> = HashMap::new();
        for receiver in self
            .records
            .values()
            .flat_map(|record| receivers(&record.key))
        {
            *received.entry(receiver).or_default() += 1;
        }
        // A key is older than its descendants, so deleting from the newest to the oldest removes
        // whole families in one call.
        let candidates: Vec<_> = self
            .records
            .values()
            .rev()
            .filter(|record| purge.covers(&record.key))
            .map(|Record { key, .. }| (key.id, key.successor))
            .collect();
        let mut count = 0;
        for (id, successor) in candidates {
            if count == u64::from(purge.limit) {
                break;
            }
            let has_successor = successor.is_some_and(|id| self.records.contains_key(&id));
            let has_received = received.get(&id).is_some_and(|count| *count > 0);
            if has_successor || has_received {
                continue;
            }
            if let Some(Record { key, .. }) = self.take(&id) {
                for receiver in receivers(&key) {
                    if let Some(count) = received.get_mut(&receiver) {
                        *count -= 1;
                    }
                }
                count += 1;
            }
        }
        count
    }
}

#[async_trait]
impl KeyStore for MemoryStore {
    async fn insert(
        &self,
        record: &Record,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let mut contents = self.change()?;
        let key = &record.key;
        let is_taken = record
            .alias
            .is_some_and(|alias| contents.aliases.contains_key(&alias));
        if is_taken || contents.records.contains_key(&key.id) {
            return Err(error(StoreErrorKind::AlreadyExists));
        }
        if key
            .parent
            .is_some_and(|parent| !contents.admits(&parent, key, now))
        {
            return Err(error(StoreErrorKind::Conflict));
        }
        contents.put(record.clone());
        contents.append(event);
        Ok(())
    }

    async fn find(&self, id: &KeyId) -> Result<Option<Record>, StoreError> {
        Ok(self.contents().records.get(id).cloned())
    }

    async fn find_by_alias(&self, alias: &Alias) -> Result<Option<Record>, StoreError> {
        let contents = self.contents();
        let id = contents.aliases.get(alias);
        Ok(id.and_then(|id| contents.records.get(id)).cloned())
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
                    && (list.owner.is_none() || list.owner == key.owner)
                    && (key.imported || !list.imported)
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

    async fn update(
        &self,
        workspace: &Workspace,
        id: &KeyId,
        version: u64,
        settings: &Settings,
        event: Option<&Event>,
    ) -> Result<VersionedKey, StoreError> {
        let mut contents = self.change()?;
        let record = contents.in_workspace(workspace, id)?;
        record.update(version, settings.clone()).map_err(error)?;
        let updated = VersionedKey::new(record.key.clone(), record.version);
        contents.append(event);
        drop(contents);
        self.lease.changed(id);
        Ok(updated)
    }

    async fn revoke(
        &self,
        workspace: &Workspace,
        id: &KeyId,
        reach: Reach,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<Revocation, StoreError> {
        let mut contents = self.change()?;
        let first = contents
            .in_workspace(workspace, id)?
            .key
            .revoked_at
            .is_none();
        let mut revoked = match reach {
            Reach::Key => HashSet::from([*id]),
            Reach::Descendants => contents.with_descendants(*id),
        };
        revoked.retain(|id| {
            contents
                .records
                .get_mut(id)
                .is_some_and(|record| record.revoke(now))
        });
        let count = revoked.len() as u64;
        if count > 0 {
            let event = event.map(|event| event.clone().with_count(count));
            contents.append(event.as_ref());
        }
        drop(contents);
        for id in &revoked {
            self.lease.changed(id);
        }
        Ok(Revocation::new(first, count))
    }

    async fn rotate(
        &self,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
        event: Option<&Event>,
    ) -> Result<(), StoreError> {
        let mut contents = self.change()?;
        let successor = &rotation.successor;
        let mut predecessor = contents
            .in_workspace(workspace, &rotation.predecessor)?
            .clone();
        predecessor
            .retire(rotation.version, rotation.retire, successor.key.id, now)
            .map_err(error)?;
        if let Some(caller) = successor.key.rotated_by
            && !contents.admits(&caller, &successor.key, now)
        {
            return Err(error(StoreErrorKind::Conflict));
        }
        if contents.records.contains_key(&successor.key.id) {
            return Err(error(StoreErrorKind::AlreadyExists));
        }
        contents.put(predecessor);
        contents.put(successor.clone());
        contents.append(event);
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
        let mut contents = self.change()?;
        let record = contents
            .records
            .get_mut(id)
            .ok_or(error(StoreErrorKind::NotFound))?;
        record.rehash(version, credential.clone()).map_err(error)?;
        drop(contents);
        self.lease.changed(id);
        Ok(())
    }

    async fn touch(&self, uses: &[(KeyId, Timestamp)]) -> Result<(), StoreError> {
        let mut contents = self.change()?;
        for (id, time) in uses {
            if let Some(record) = contents.records.get_mut(id) {
                record.touch(*time);
            }
        }
        Ok(())
    }

    async fn reserve(
        &self,
        reservation: &Reservation,
        now: Timestamp,
    ) -> Result<Reserved, StoreError> {
        let mut contents = self.change()?;
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
        Ok(self.change()?.purge(purge))
    }

    async fn events(
        &self,
        workspace: &Workspace,
        environment: Environment,
        list: &ListEvents<EventId>,
    ) -> Result<EventPage<EventId>, StoreError> {
        let contents = self.contents();
        let selected = |event: &&Event| list.selects(workspace, environment, event);
        let events: Box<dyn Iterator<Item = &Event>> = match (list.order, &list.after) {
            (EventOrder::NewestFirst, None) => Box::new(contents.events.values().rev()),
            (EventOrder::NewestFirst, Some(last)) => {
                Box::new(contents.events.range(..*last).rev().map(|(_, event)| event))
            }
            (EventOrder::OldestFirst, after) => {
                Box::new(after_id(&contents.events, after.as_ref()))
            }
        };
        let size = usize::try_from(list.limit)
            .unwrap_or(usize::MAX)
            .saturating_add(1);
        let events = events.filter(selected).take(size).cloned().collect();
        Ok(EventPage::cut(events, list.limit))
    }

    async fn purge_events(&self, purge: &PurgeEvents) -> Result<u64, StoreError> {
        let mut contents = self.change()?;
        let covered: Vec<EventId> = contents
            .events
            .values()
            .filter(|event| purge.covers(event))
            .map(|event| event.id)
            .take(usize::try_from(purge.limit).unwrap_or(usize::MAX))
            .collect();
        for id in &covered {
            contents.events.remove(id);
        }
        Ok(covered.len() as u64)
    }

    fn keeps_events(&self) -> bool {
        true
    }

    async fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(self.contents().records.is_empty())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn prefix(&self) -> Result<Option<Prefix>, StoreError> {
        let claim = self.contents().stage.claim();
        let claimed = claim.as_deref().map(Stage::claimed_prefix).transpose();
        claimed.map_err(error)
    }

    async fn claim_prefix(&self, prefix: &Prefix) -> Result<Prefix, StoreError> {
        let mut contents = self.change()?;
        if contents.stage == Stage::Unclaimed {
            contents.stage = Stage::Open(prefix.clone());
        }
        let claim = contents.stage.claim().unwrap_or_default();
        Stage::claimed_prefix(&claim).map_err(error)
    }

    fn durability(&self) -> Durability {
        Durability::Process
    }

    fn lease(&self) -> Arc<Lease> {
        Arc::clone(&self.lease)
    }
}
