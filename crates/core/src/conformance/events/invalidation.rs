//! Events are not changes in the sense of the lease.

use std::{thread, time::Duration};

use super::log::{add, purge_all};
use crate::{
    Timestamp,
    conformance::{
        fixture::{record_in, workspace},
        handle::Handle,
        harness::Harness,
    },
    store::PurgeEvents,
};

const TENANT: &str = "invalidation";

/// Tests that events invalidate no copy of a record: neither when they are appended with an insert,
/// which is not a change, nor when they are deleted.
pub(super) fn events_invalidate_nothing<H: Harness>(store: &Handle<'_, H>) {
    let (cached, _) = add(store, record_in(TENANT, "cached"));
    let lease = store.store().lease();
    let purge = PurgeEvents::new(Timestamp::MAX, 100).with_workspace(workspace(TENANT));
    // The store may still invalidate records because of an earlier change, so retry.
    let unchanged = (0..20).any(|_| {
        let before = lease.stamp(&cached.key.id);
        add(store, record_in(TENANT, "other"));
        purge_all(store, &purge);
        thread::sleep(Duration::from_millis(20));
        lease.stamp(&cached.key.id) == before
    });
    assert!(unchanged, "an event invalidated a record");
}
