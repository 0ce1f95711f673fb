//! A key as it was read from the store, and its last use in this process.

use ipnet::IpNet;

use crate::{
    Attributes, Environment, Key, Metadata, Owner, Timestamp,
    sync::{AtomicBool, AtomicI64, Ordering},
};

/// A key that was read from the store. The cache, each [`Verified`](crate::Verified) token and the
/// queue of last uses share it.
// The fields that every verification reads come first, so that they share a cache line.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct CachedKey {
    /// The latest known use, in Unix milliseconds, or negative if there is none. It may have
    /// happened in another process.
    last_used: AtomicI64,
    /// Whether the last use is queued to be written.
    pub(super) queued: AtomicBool,
    /// Whether the key was used since it was last considered for eviction.
    used: AtomicBool,
    /// Whether the hash of this version has another scheme or pepper than new hashes.
    pub(super) outdated: AtomicBool,
    /// A copy of the key's environment.
    pub(super) environment: Environment,
    /// Whether the key is active at any time and may be used from any address: it is enabled, not
    /// revoked, has no expiry and no allowed addresses.
    pub(super) unconditional: bool,
    /// The latest use that is known to be written, in Unix milliseconds, or negative if there is
    /// none.
    pub(super) written: AtomicI64,
    /// The version of the record.
    pub(super) version: u64,
    pub(crate) key: Key,
}

const NEVER: i64 = -1;

/// The bytes of a cached key outside its parts: the entry in the map, the id in the eviction order,
/// and the headers and rounding of its allocations.
const OVERHEAD: usize = 176;

impl CachedKey {
    pub(super) fn new(key: Key, version: u64) -> Self {
        let last_used = key.last_used_at.map_or(NEVER, Timestamp::as_millis);
        Self {
            last_used: AtomicI64::new(last_used),
            queued: AtomicBool::new(false),
            used: AtomicBool::new(false),
            outdated: AtomicBool::new(false),
            environment: key.environment,
            unconditional: key.enabled
                && key.revoked_at.is_none()
                && key.expires_at.is_none()
                && key.allowed_ips.is_none(),
            written: AtomicI64::new(last_used),
            version,
            key,
        }
    }

    /// Returns about how many bytes the key takes in the cache. Values that it shares with other
    /// keys count in full, and so does a name that is stored in the key itself.
    pub(super) fn weight(&self) -> usize {
        let Key {
            workspace,
            name,
            permissions,
            metadata,
            owner,
            attributes,
            allowed_ips,
            ..
        } = &self.key;
        let permissions = permissions
            .iter()
            .map(|permission| size_of_val(permission) + permission.as_str().len());
        let metadata = metadata.as_ref().map_or("", Metadata::as_json);
        let owner = owner.as_ref().map_or("", Owner::as_str);
        let attributes = attributes.as_ref().map_or("", Attributes::as_json);
        let texts = [
            workspace.as_str(),
            name.as_str(),
            metadata,
            owner,
            attributes,
        ];
        let texts = texts.map(str::len);
        let networks = allowed_ips
            .as_ref()
            .map_or(0, |allowed| allowed.iter().len());
        OVERHEAD
            + networks * size_of::<IpNet>()
            + size_of::<Self>()
            + permissions.sum::<usize>()
            + texts.iter().sum::<usize>()
    }

    /// Whether a record is the same as this one, apart from its last use.
    pub(super) fn is_same(&self, key: &Key, version: u64) -> bool {
        let Key {
            id,
            workspace,
            environment,
            owner,
            name,
            permissions,
            metadata,
            attributes,
            enabled,
            allowed_ips,
            parent,
            successor,
            predecessor,
            rotated_by,
            imported,
            expires_at,
            revoked_at,
            last_used_at: _,
        } = &self.key;
        self.version == version
            && *id == key.id
            && *workspace == key.workspace
            && *environment == key.environment
            && *owner == key.owner
            && *name == key.name
            && *permissions == key.permissions
            && *metadata == key.metadata
            && *attributes == key.attributes
            && *enabled == key.enabled
            && *allowed_ips == key.allowed_ips
            && *parent == key.parent
            && *successor == key.successor
            && *predecessor == key.predecessor
            && *rotated_by == key.rotated_by
            && *imported == key.imported
            && *expires_at == key.expires_at
            && *revoked_at == key.revoked_at
    }

    /// Returns when the key was last used.
    pub(crate) fn last_used_at(&self) -> Option<Timestamp> {
        Timestamp::from_millis(self.last_used.load(Ordering::SeqCst)).ok()
    }

    /// Gives the key a second chance at the next eviction.
    pub(super) fn mark_used(&self) {
        // Other threads read this flag, so write it only if it changes.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// Takes the second chance. Returns `false` if the key has none.
    pub(super) fn take_second_chance(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    /// Records a use. A second use in the same millisecond writes nothing, so that threads that
    /// verify the same key do not contend.
    pub(super) fn record_use(&self, now: Timestamp) {
        let now = now.as_millis();
        if self.last_used.load(Ordering::Relaxed) < now {
            // The coarse clock may be behind the clock that dated the creation.
            let now = now.max(self.key.created_at().as_millis());
            self.last_used.fetch_max(now, Ordering::SeqCst);
        }
    }

    /// Takes over the uses of an earlier version of the same key.
    pub(super) fn inherit_uses(&self, earlier: &Self) {
        for (own, earlier) in [
            (&self.last_used, &earlier.last_used),
            (&self.written, &earlier.written),
        ] {
            own.fetch_max(earlier.load(Ordering::SeqCst), Ordering::SeqCst);
        }
    }
}
