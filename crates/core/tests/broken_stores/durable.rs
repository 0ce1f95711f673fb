//! Clause 3 broken.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use keywright_core::{Durability, KeyId, KeyStore, MemoryStore, conformance::Harness};

use crate::{
    caught::{assert_caught, assert_fails},
    fault::{Broken, Fault},
};

/// Promises to outlast its process.
#[derive(Clone, Debug, Default)]
struct Promises;

impl Fault for Promises {
    fn durability(&self) -> Durability {
        Durability::HostCrash
    }
}

#[test]
fn a_store_that_outlasts_its_process_and_cannot_be_damaged_is_caught() {
    // What is tried here lives as long as the harness, so the promise itself is kept.
    assert_caught::<Promises>(&["errors"]);
}

/// Is empty again after its last handle.
#[derive(Debug, Default)]
struct Forgetful(Mutex<Weak<MemoryStore>>);

impl Harness for Forgetful {
    fn open(&self) -> Arc<dyn KeyStore> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = open.upgrade().unwrap_or_default();
        *open = Arc::downgrade(&inner);
        Arc::new(Broken {
            inner,
            fault: Promises,
        })
    }

    fn damage(&self, _: &KeyId) -> bool {
        false
    }
}

#[test]
fn a_store_that_forgets_what_it_promised_is_caught() {
    // With the records it forgets revocations, reservations and the prefix.
    let caught = [
        "durable",
        "monotone_revocation",
        "reservation",
        "errors",
        "format",
    ];
    assert_fails::<Forgetful>(&caught);
}
