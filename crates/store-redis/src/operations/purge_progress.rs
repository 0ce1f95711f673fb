//! The progress of one purge.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
};

use keywright_core::{KeyId, Timestamp, store::Purge};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::record::Header;

/// A purge, and what its concurrent walks have deleted and kept so far.
pub(super) struct PurgeProgress {
    pub(super) purge: Arc<Purge>,
    /// One permit for each record that may still be deleted. A walk acquires one before it deletes
    /// a record. Closed when the purge has reached its limit.
    permits: Semaphore,
    deleted: AtomicU32,
    /// Keys that must be kept. The walks do not visit the descendants of these keys again.
    kept: Mutex<HashSet<KeyId>>,
    /// The other end is dropped when the caller no longer waits for the purge.
    caller: Weak<()>,
}

impl PurgeProgress {
    pub(super) fn new(purge: Arc<Purge>, caller: Weak<()>) -> Self {
        let limit = usize::try_from(purge.limit).unwrap_or(usize::MAX);
        let permits = Semaphore::new(limit.min(Semaphore::MAX_PERMITS));
        if purge.limit == 0 {
            permits.close();
        }
        Self {
            purge,
            permits,
            deleted: AtomicU32::new(0),
            kept: Mutex::default(),
            caller,
        }
    }

    /// Waits until one more record may be deleted. Returns `None` when the purge is finished.
    pub(super) async fn acquire(&self) -> Option<SemaphorePermit<'_>> {
        let permit = self.permits.acquire().await.ok()?;
        (!self.is_abandoned()).then_some(permit)
    }

    fn is_abandoned(&self) -> bool {
        self.caller.strong_count() == 0
    }

    /// Counts a deleted record.
    pub(super) fn record_deleted(&self, permit: SemaphorePermit<'_>) {
        permit.forget();
        if self.deleted.fetch_add(1, Ordering::Relaxed) + 1 == self.purge.limit {
            self.permits.close();
        }
    }

    pub(super) fn deleted(&self) -> u32 {
        self.deleted.load(Ordering::Relaxed)
    }

    /// Whether the purge has reached its limit, or its caller no longer waits for it.
    pub(super) fn is_finished(&self) -> bool {
        self.permits.is_closed() || self.is_abandoned()
    }

    pub(super) fn is_kept(&self, id: &KeyId) -> bool {
        let kept = self.kept.lock();
        kept.unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    pub(super) fn keep(&self, ids: impl Iterator<Item = KeyId>) {
        let kept = self.kept.lock();
        kept.unwrap_or_else(PoisonError::into_inner).extend(ids);
    }

    /// Whether the purge includes a record, provided that all its descendants are deleted:
    /// [`Purge::covers`] for a header.
    pub(super) fn includes(&self, header: &Header) -> bool {
        let Purge {
            workspace,
            revoked_before,
            expired_before,
            ..
        } = &*self.purge;
        let before = |time: Option<Timestamp>, bound: Option<Timestamp>| {
            time.zip(bound).is_some_and(|(time, bound)| time < bound)
        };
        (before(header.revoked_at, *revoked_before) || before(header.expires_at, *expired_before))
            && workspace
                .as_ref()
                .is_none_or(|workspace| header.workspace == *workspace)
    }
}
