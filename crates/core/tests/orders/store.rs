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
// The names that `record.rs` imports from its parent.
mod alias {
    pub(crate) use keywright_core::store::Alias;
}
mod error {
    pub(crate) use keywright_core::store::StoreErrorKind;
}

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::LazyLock,
};

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
    Credential::new(
        StoredHash::parse(&text).unwrap(),
        Tag::from_bytes([0; Tag::LENGTH]),
    )
});

pub(crate) fn id() -> KeyId {
    KeyId::parse("key_0U5lKtf600000000").unwrap()
}

/// The address from which the key is verified.
pub(crate) const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// A change of the one key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// The key is revoked.
    Revocation,
    /// The key is paused.
    Pause,
    /// The key loses a permission.
    NarrowedPermissions,
    /// [`ADDRESS`] is removed from the allowed addresses.
    RemovedAddress,
}

impl Change {
    /// All changes.
    pub(crate) const ALL: [Self; 4] = [
        Self::Revocation,
        Self::Pause,
        Self::NarrowedPermissions,
        Self::RemovedAddress,
    ];
}

/// A store of one key, which is changed at most once.
pub(crate) struct Store {
    change: Change,
    is_changed: AtomicBool,
}

impl Store {
    pub(crate) fn new(change: Change) -> Self {
        Self {
            change,
            is_changed: AtomicBool::new(false),
        }
    }

    pub(crate) fn find(&self) -> Record {
        let mut key = Key::new(
            id(),
            Workspace::parse("default").unwrap(),
            Environment::Live,
            Name::parse("key").unwrap(),
            Permissions::all(),
        );
        let is_changed = self.is_changed.load(Ordering::Relaxed);
        match self.change {
            Change::Revocation => key.revoked_at = is_changed.then(time::now),
            Change::Pause => key.enabled = !is_changed,
            Change::NarrowedPermissions if is_changed => key.permissions = Permissions::default(),
            Change::NarrowedPermissions => {}
            Change::RemovedAddress => {
                let addresses = if is_changed {
                    "192.0.2.2"
                } else {
                    "192.0.2.1,192.0.2.2"
                };
                key.allowed_ips = Some(addresses.parse().unwrap());
            }
        }
        Record::new(key, CREDENTIAL.clone())
    }

    pub(crate) fn change(&self) {
        self.is_changed.store(true, Ordering::Relaxed);
    }
}
