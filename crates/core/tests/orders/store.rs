//! The lease, and a record that orders nothing by itself.

#[expect(dead_code, unreachable_pub, reason = "the product's, as it is")]
#[path = "../../src/store/lease.rs"]
mod lease;

use loom::sync::atomic::{AtomicBool, Ordering};

pub(crate) use self::lease::{Lease, Stamp, Watch};
use crate::{Environment, KeyId, Name, Permissions, Workspace, key::Key, time};

pub(crate) fn id() -> KeyId {
    KeyId::parse("key_0U5lKtf600000000").unwrap()
}

/// Whether the key is revoked.
pub(crate) struct Record(AtomicBool);

impl Record {
    pub(crate) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    pub(crate) fn find(&self) -> Key {
        let mut key = Key::new(
            id(),
            Workspace::parse("default").unwrap(),
            Environment::Live,
            Name::parse("key").unwrap(),
            Permissions::all(),
        );
        key.revoked_at = self.0.load(Ordering::Relaxed).then(time::timestamp);
        key
    }

    pub(crate) fn revoke(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
