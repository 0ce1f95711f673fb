//! Entries of lists that have no record.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use keywright_core::KeyId;

/// How long an entry has to be without a record before it is taken away: no insert takes that long
/// from the one to the other without adding the entry again.
const PATIENCE: Duration = Duration::from_secs(60);

/// Most entries that are remembered.
const CAPACITY: usize = 4096;

/// Entries that were met without a record, and when first.
#[derive(Debug, Default)]
pub(crate) struct Dangling(Mutex<HashMap<KeyId, Instant>>);

impl Dangling {
    /// Whether this one has been without a record for long.
    pub(super) fn is_over(&self, id: KeyId, now: Instant) -> bool {
        let mut met = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if met.len() >= CAPACITY {
            met.clear();
        }
        let first = *met.entry(id).or_insert(now);
        let over = now.saturating_duration_since(first) >= PATIENCE;
        if over {
            met.remove(&id);
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_over_a_minute_after_it_was_first_met() {
        let dangling = Dangling::default();
        let id = KeyId::parse("key_0U5lKtf600000000").unwrap();
        let other = KeyId::parse("key_0U5lKtf600000001").unwrap();
        #[expect(clippy::disallowed_methods, reason = "any time is as good")]
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!dangling.is_over(id, at(0)));
        assert!(!dangling.is_over(id, at(59)));
        assert!(!dangling.is_over(other, at(60)));
        assert!(dangling.is_over(id, at(60)));
        // It was taken away, and is met anew.
        assert!(!dangling.is_over(id, at(61)));
    }
}
