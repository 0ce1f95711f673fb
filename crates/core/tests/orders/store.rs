//! The lease, and a store whose record imposes no order by itself.

#[expect(dead_code, unreachable_pub, reason = "the library's source")]
#[path = "../../src/store/lease.rs"]
mod lease;
#[expect(dead_code, unreachable_pub, reason = "the library's source")]
#[allow(
    unfulfilled_lint_expectations,
    reason = "its types are not public here, so lints of public types do not apply"
)]
#[path = "../../src/store/record.rs"]
mod record;
// The name that `record.rs` imports from its parent.
mod error {
    pub(crate) use keywright_core::store::StoreErrorKind;
}

use std::sync::LazyLock;

use keywright_core::store::Tag;
use loom::sync::atomic::{AtomicBool, Ordering};

pub(crate) use keywright_core::store::StoreError;

pub(crate) use self::{
    lease::{Lease, Stamp, Watch},
    record::Record,
};
use crate::{
    Environment, Key, KeyId, Name, Permissions, Workspace,
    hash::{Credential, StoredHash},
    time,
};

static CREDENTIAL: LazyLock<Credential> = LazyLock::new(|| {
    let output = "A".repeat(43);
    let text = format!("$hmac-sha256$AAECAwQFBgcICQoLDA0ODw${output}");
    Credential::new(StoredHash::parse(&text).unwrap(), Tag::from_bytes([0; 8]))
});

pub(crate) fn id() -> KeyId {
    KeyId::parse("key_0U5lKtf600000000").unwrap()
}

/// A store of one key, which may be revoked.
pub(crate) struct Store(AtomicBool);

impl Store {
    pub(crate) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    pub(crate) fn find(&self) -> Record {
        let mut key = Key::new(
            id(),
            Workspace::parse("default").unwrap(),
            Environment::Live,
            Name::parse("key").unwrap(),
            Permissions::all(),
        );
        key.revoked_at = self.0.load(Ordering::Relaxed).then(time::now);
        Record::new(key, CREDENTIAL.clone())
    }

    pub(crate) fn revoke(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
