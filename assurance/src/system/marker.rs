//! The marker that shows when a process has seen the changes of the other process.

use std::{thread, time::Duration};

use futures_executor::block_on;
use keywright_core::{Caller, KeyId, KeyUpdate, Name, NewKey, Permissions};

use super::{
    convert::{name, workspace},
    process::Process,
};

/// How long to wait for a change to propagate before the test fails.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The workspace of the marker.
pub(super) const MARKER: &str = "marker";

/// The first key of the store. No sequence refers to it. Its name counts how often a process had to
/// catch up with the other process.
pub(super) struct Marker {
    id: KeyId,
    pub(super) token: String,
    count: u64,
    caller: Caller,
}

impl Marker {
    pub(super) fn create(process: &Process) -> Self {
        let caller = Caller::new(workspace(MARKER), Permissions::all());
        let first = process
            .keys()
            .issuer()
            .create_first(&caller, NewKey::new(name("0")));
        let first = block_on(first)
            .expect("the store works")
            .expect("the store is empty");
        assert_eq!(first.key.permissions, Permissions::all());
        Self {
            id: first.key.id,
            token: first.token.expose().to_owned(),
            count: 0,
            caller,
        }
    }

    /// Waits until a process has seen all changes of the other process.
    ///
    /// Changes are published in the order in which they are made. So the other process renames the
    /// marker, and this process waits until the invalidation of the marker arrives.
    ///
    /// # Panics
    ///
    /// If the process still acts on old data after the staleness bound, or never sees the change.
    pub(super) fn propagate(&mut self, from: &Process, to: &Process, staleness_bound: Duration) {
        self.count += 1;
        let next = name(&self.count.to_string());
        let lease = to.store().lease();
        // Fill the cache of the waiting process. Otherwise it could read the new name from the
        // store before the invalidation arrives.
        let _ = self.name_seen_by(to);
        let before = lease.stamp(&self.id);
        let update = KeyUpdate::new().with_name(next.clone());
        let updated = from.keys().issuer().update(&self.caller, &self.id, &update);
        block_on(updated).expect("the store works");
        let acknowledged = lease.now();
        loop {
            let started = lease.now().saturating_duration_since(acknowledged);
            let is_current = self.name_seen_by(to) == next;
            assert!(
                is_current || started <= staleness_bound,
                "a change was not visible {started:?} after it was acknowledged"
            );
            // Without a valid lease the verifier reads the store, so the new name can be visible
            // before the invalidation arrives.
            if is_current && lease.stamp(&self.id) != before {
                return;
            }
            assert!(
                started < TIMEOUT,
                "the invalidation of a change never arrived"
            );
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn name_seen_by(&self, process: &Process) -> Name {
        let verified = block_on(process.keys().verifier().verify(self.token.as_bytes()));
        verified.expect("the marker is active").key().name.clone()
    }
}
