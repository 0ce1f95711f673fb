//! A key as the verifier knows it, and when it was last used here.

use crate::{
    Environment, Key, Timestamp,
    sync::{AtomicBool, AtomicI64, Ordering},
};

/// A key as it was read, shared by the cache, by all that were verified with it, and by whoever notes
/// its uses.
// What each verification looks at stands together.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Known {
    /// Unix milliseconds of the latest use that is known of, also elsewhere; negative for none.
    used: AtomicI64,
    /// Whether that use waits to be written.
    pub(super) queued: AtomicBool,
    /// The key's.
    pub(super) environment: Environment,
    /// Whether the key opens something until it changes, whatever the time is.
    pub(super) lasts: bool,
    /// Unix milliseconds at which a use was last written, as far as is known; negative for never.
    pub(super) written: AtomicI64,
    /// The version of the record.
    pub(super) version: u64,
    pub(crate) key: Key,
}

const NEVER: i64 = -1;

impl Known {
    pub(super) fn new(key: Key, version: u64) -> Self {
        let used = key.last_used_at.map_or(NEVER, Timestamp::as_millis);
        Self {
            used: AtomicI64::new(used),
            queued: AtomicBool::new(false),
            environment: key.environment,
            lasts: key.revoked_at.is_none() && key.expires_at.is_none(),
            written: AtomicI64::new(used),
            version,
            key,
        }
    }

    /// Whether a record that was read is this one, but for its uses.
    pub(super) fn is(&self, key: &Key, version: u64) -> bool {
        let Key {
            id,
            workspace,
            environment,
            name,
            permissions,
            metadata,
            parent,
            successor,
            expires_at,
            revoked_at,
            last_used_at: _,
        } = &self.key;
        self.version == version
            && *id == key.id
            && *workspace == key.workspace
            && *environment == key.environment
            && *name == key.name
            && *permissions == key.permissions
            && *metadata == key.metadata
            && *parent == key.parent
            && *successor == key.successor
            && *expires_at == key.expires_at
            && *revoked_at == key.revoked_at
    }

    /// When the key was last used.
    pub(crate) fn last_used_at(&self) -> Option<Timestamp> {
        Timestamp::from_millis(self.used.load(Ordering::SeqCst)).ok()
    }

    /// Notes a use. In the same millisecond as another one it writes nothing, so that threads that
    /// verify one key do not wait for each other.
    pub(super) fn use_at(&self, now: Timestamp) {
        let now = now.as_millis();
        if self.used.load(Ordering::Relaxed) < now {
            // A coarse clock may be behind the one that dated the creation.
            let now = now.max(self.key.created_at().as_millis());
            self.used.fetch_max(now, Ordering::SeqCst);
        }
    }

    /// Takes over the uses of the same key as it was known before.
    pub(super) fn follow(&self, before: &Self) {
        for (own, earlier) in [(&self.used, &before.used), (&self.written, &before.written)] {
            own.fetch_max(earlier.load(Ordering::SeqCst), Ordering::SeqCst);
        }
    }
}
