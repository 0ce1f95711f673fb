//! Stores that break clause 3.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use keywright_core::{
    EventId, KeyId, MemoryStore,
    conformance::Harness,
    store::{Durability, KeyStore},
};

use crate::{
    failed_clauses::{assert_fails_only, assert_harness_fails_only},
    fault::{Broken, Fault},
};

/// A store that claims to survive a crash of the host.
#[derive(Clone, Debug, Default)]
struct ClaimsDurability;

impl Fault for ClaimsDurability {
    fn durability(&self) -> Durability {
        Durability::HostCrash
    }
}

#[test]
fn a_durable_store_that_cannot_be_damaged_is_caught() {
    // The store lives as long as its harness, so its data does survive the restarts of the suite.
    assert_fails_only::<ClaimsDurability>(&["errors", "events"]);
}

/// A store that loses its data with its last handle.
#[derive(Debug, Default)]
struct LosesEverything(Mutex<Weak<MemoryStore>>);

impl Harness for LosesEverything {
    fn open(&self) -> Arc<dyn KeyStore> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = open.upgrade().unwrap_or_default();
        *open = Arc::downgrade(&inner);
        Arc::new(Broken {
            inner,
            fault: ClaimsDurability,
        })
    }

    fn damage(&self, _: &KeyId) -> bool {
        false
    }

    fn damage_event(&self, _: &EventId) -> bool {
        false
    }
}

#[test]
fn a_store_that_loses_acknowledged_writes_is_caught() {
    // It loses records, revocations, reservations, the prefix and events.
    let failed = [
        "durable",
        "monotone_revocation",
        "reservation",
        "errors",
        "format",
        "events",
        "aliases",
    ];
    assert_harness_fails_only::<LosesEverything>(&failed);
}
