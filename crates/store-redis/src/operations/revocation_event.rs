//! The event of a revocation.
//!
//! The script that revokes the key of the call appends the event. If the key was already revoked,
//! a cascade may still revoke descendants, which may be on other servers. Then the event is stored
//! before the first of them is revoked, and deleted if this call has revoked none. The event of a
//! cascade gets its count at the end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use keywright_core::{Event, Reach, store::Lease};
use tokio::sync::OnceCell;

use super::{confirmation::Confirmation, index::Room, new_event::NewEvent};
use crate::{error::Result, servers::Servers};

pub(super) struct RevocationEvent {
    event: Event,
    reach: Reach,
    new: NewEvent,
    /// When the entries of the event were added, and their confirmation.
    indexed: (Instant, Confirmation),
    /// Set once the event is stored, to the confirmation.
    stored: OnceCell<Confirmation>,
    /// Whether the event may be stored.
    may_be_stored: AtomicBool,
}

impl RevocationEvent {
    /// Adds the entries of the event.
    pub(super) async fn prepare(
        servers: &Arc<Servers>,
        lease: &Lease,
        event: Event,
        reach: Reach,
    ) -> Result<Self> {
        let event = match reach {
            Reach::Key => event.with_count(1),
            Reach::Descendants => event,
        };
        let new = NewEvent::new(servers, &event)?;
        let added_at = lease.now();
        let added = new.add_entries(servers, Room::NotRequired).await?;
        Ok(Self {
            event,
            reach,
            new,
            indexed: (added_at, added),
            stored: OnceCell::new(),
            may_be_stored: AtomicBool::new(false),
        })
    }

    pub(super) const fn new_event(&self) -> &NewEvent {
        &self.new
    }

    /// Records that the script has stored the event.
    pub(super) fn set_stored(&mut self) {
        self.stored = OnceCell::new_with(Some(Confirmation::of_nothing()));
    }

    pub(super) fn is_stored(&self) -> bool {
        self.stored.initialized()
    }

    /// Stores the event, unless it is stored.
    pub(super) async fn store(&self, servers: &Arc<Servers>, lease: &Lease) -> Result<()> {
        let store = || {
            self.may_be_stored.store(true, Ordering::Relaxed);
            self.new.store(servers, lease)
        };
        self.stored.get_or_try_init(store).await?;
        Ok(())
    }

    /// Completes the event of a revocation that has revoked this many keys. Without a count, the
    /// revocation has failed, and may have revoked some.
    pub(super) async fn finish(
        &self,
        servers: &Arc<Servers>,
        lease: &Lease,
        count: Option<u64>,
    ) -> Result<Confirmation> {
        let (added_at, added) = self.indexed;
        let Some(stored) = self.stored.get() else {
            if !self.may_be_stored.load(Ordering::Relaxed) {
                self.new.remove_entries(servers).await;
            }
            return Ok(Confirmation::of_nothing());
        };
        if count == Some(0) {
            self.new.delete(servers).await?;
            return Ok(Confirmation::of_nothing());
        }
        if let Some(count) = count.filter(|_| self.reach == Reach::Descendants) {
            let event = self.event.clone().with_count(count);
            if let Err(error) = self.new.replace(servers, &event).await {
                // The keys are revoked, and the event says so.
                let error: &(dyn std::error::Error + 'static) = &error;
                tracing::warn!(event = %event.id, error, "could not add the count to an event");
            }
        }
        let again = self.new.add_entries_again(servers, lease, added_at).await?;
        Ok(added.and(*stored).and(again))
    }
}
