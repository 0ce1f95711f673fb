//! When keys were last used: noted in memory, and written beside the requests.

use std::{
    borrow::Borrow,
    collections::HashSet,
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use super::known::Known;
use crate::{
    Key, KeyId, KeyStore, StoreError, Timestamp,
    sync::{Mutex, MutexGuard, Ordering, PoisonError},
};

/// Shortest time between two writes of one key's last use.
const SPACING: Duration = Duration::from_secs(60);

/// Most keys of one call of the store.
const BATCH: usize = 512;

/// The uses that are not written yet: one entry for each key.
pub(crate) struct Uses {
    waiting: Mutex<HashSet<ById>>,
    /// Most keys that may wait.
    limit: usize,
}

/// A key in a set, found by its id.
struct ById(Arc<Known>);

impl Borrow<KeyId> for ById {
    fn borrow(&self) -> &KeyId {
        &self.0.key.id
    }
}

impl Hash for ById {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key.id.hash(state);
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.0.key.id == other.0.key.id
    }
}

impl Eq for ById {}

/// Which uses are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Those of keys whose last write is a minute old.
    Spaced,
    /// All.
    All,
}

impl Uses {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            limit,
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashSet<ById>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many keys wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting().len()
    }

    /// Notes a use. If more keys wait than may, it is noted for those who list keys of this process
    /// as long as the key stays in the cache, and never written.
    #[inline]
    pub(super) fn note(&self, known: &Arc<Known>, now: Timestamp) {
        known.use_at(now);
        // The use is noted first, and whoever writes takes the key off first and reads the use then:
        // none is lost.
        if !known.queued.load(Ordering::SeqCst) {
            self.queue(known);
        }
    }

    #[cold]
    fn queue(&self, known: &Arc<Known>) {
        let mut waiting = self.waiting();
        match waiting.get(&known.key.id) {
            Some(ById(other)) => {
                // Uses of the other are noted here again from now on, and those before are seen: if
                // another call is under way with it, none of them is lost.
                other.queued.store(false, Ordering::SeqCst);
                known.follow(other);
            }
            None if waiting.len() >= self.limit => return,
            None => {}
        }
        waiting.replace(ById(Arc::clone(known)));
        known.queued.store(true, Ordering::SeqCst);
    }

    /// Puts what is not written yet into keys that were read from the store.
    pub(crate) fn overlay(&self, keys: &mut [Key]) {
        let waiting = self.waiting();
        for key in keys {
            if let Some(ById(known)) = waiting.get(&key.id) {
                key.last_used_at = key.last_used_at.max(known.last_used_at());
            }
        }
    }

    /// Writes what is due. What the store does not take waits on.
    pub(super) async fn flush(
        &self,
        store: &dyn KeyStore,
        now: Timestamp,
        due: Due,
    ) -> Result<(), StoreError> {
        let keys = self.due(now, due);
        let mut outcome = Ok(());
        for batch in keys.chunks(BATCH) {
            let uses: Vec<(KeyId, Timestamp)> = batch
                .iter()
                .filter_map(|known| {
                    known.queued.store(false, Ordering::SeqCst);
                    Some((known.key.id, known.last_used_at()?))
                })
                .collect();
            match store.touch(&uses).await {
                Ok(()) => self.written(batch, now),
                Err(error) => {
                    // Another flush at the same time may have taken them off.
                    for known in batch {
                        self.queue(known);
                    }
                    outcome = Err(error);
                }
            }
        }
        outcome
    }

    fn due(&self, now: Timestamp, due: Due) -> Vec<Arc<Known>> {
        let spacing = i64::try_from(SPACING.as_millis()).unwrap_or(i64::MAX);
        let is_due = |known: &Known| {
            let written = known.written.load(Ordering::Relaxed);
            // A clock that was set back must not keep a use from being written.
            due == Due::All
                || !(written..written.saturating_add(spacing)).contains(&now.as_millis())
        };
        self.waiting()
            .iter()
            .filter(|ById(known)| is_due(known))
            .map(|ById(known)| Arc::clone(known))
            .collect()
    }

    fn written(&self, batch: &[Arc<Known>], now: Timestamp) {
        let mut waiting = self.waiting();
        for known in batch {
            known.written.store(now.as_millis(), Ordering::Relaxed);
            let again = known.queued.load(Ordering::SeqCst);
            match waiting.get(&known.key.id) {
                Some(ById(other)) if !Arc::ptr_eq(other, known) => other.follow(known),
                Some(_) if !again => {
                    waiting.remove(&known.key.id);
                }
                _ => {}
            }
        }
    }
}

impl fmt::Debug for Uses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uses")
            .field("waiting", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Environment, Key, Name, Permissions, Workspace};

    fn known(number: u32) -> Arc<Known> {
        let key = Key::new(
            KeyId::parse(&format!("key_0U5lKt{number:010}")).unwrap(),
            Workspace::parse("acme").unwrap(),
            Environment::Live,
            Name::parse("n").unwrap(),
            Permissions::all(),
        );
        Arc::new(Known::new(key, 1))
    }

    #[test]
    fn no_more_keys_wait_than_may_and_the_rest_are_known_all_the_same() {
        let uses = Uses::new(2);
        let now = Timestamp::from_millis(1_709_287_200_000).unwrap();
        let keys: Vec<_> = (0..3).map(known).collect();
        for known in &keys {
            uses.note(known, now);
            uses.note(known, now);
            assert_eq!(known.last_used_at(), Some(now));
        }
        assert_eq!(uses.waiting().len(), 2);
        // There is a place again once the others are written.
        let store = crate::MemoryStore::new();
        pollster::block_on(uses.flush(&store, now, Due::All)).unwrap();
        assert_eq!(uses.waiting().len(), 0);
        uses.note(&keys[2], now);
        assert_eq!(uses.waiting().len(), 1);
    }
}
