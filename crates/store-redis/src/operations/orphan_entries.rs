//! Entries of an index that have no record or event.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long an entry must be without a record or event before it is removed.
///
/// A change that takes longer between its entries and its record or event adds the entries again.
const GRACE_PERIOD: Duration = Duration::from_secs(60);

/// The maximum number of entries to keep.
const CAPACITY: usize = 4096;

/// The entries that were seen without a record or event, and when each was first seen.
#[derive(Debug)]
pub(crate) struct OrphanEntries<Id>(Mutex<HashMap<Id, Instant>>);

impl<Id> Default for OrphanEntries<Id> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<Id: Copy + Eq + Hash> OrphanEntries<Id> {
    /// Remembers that an entry has no record or event. Returns whether it should be removed.
    pub(super) fn is_overdue(&self, id: Id, now: Instant) -> bool {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= CAPACITY {
            entries.clear();
        }
        let first_seen = *entries.entry(id).or_insert(now);
        let overdue = now.saturating_duration_since(first_seen) >= GRACE_PERIOD;
        if overdue {
            entries.remove(&id);
        }
        overdue
    }
}

#[cfg(test)]
mod tests {
    use keywright_core::KeyId;

    use super::*;

    #[test]
    fn an_entry_is_overdue_a_minute_after_it_was_first_seen() {
        let orphans = OrphanEntries::default();
        let id = KeyId::parse("key_0U5lKtf600000000").unwrap();
        let other = KeyId::parse("key_0U5lKtf600000001").unwrap();
        #[expect(clippy::disallowed_methods, reason = "any time will do")]
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!orphans.is_overdue(id, at(0)));
        assert!(!orphans.is_overdue(id, at(59)));
        assert!(!orphans.is_overdue(other, at(60)));
        assert!(orphans.is_overdue(id, at(60)));
        // The entry was removed. If it is seen again, it has another minute.
        assert!(!orphans.is_overdue(id, at(61)));
    }
}
