//! The servers of a store, and the routing of requests to them.

mod discovery;
mod routing;

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Instant,
};

use keywright_core::store::Lease;
use redis::Value;

use crate::{
    config::ServerOptions, names::Names, node::Node, slot, slot_map::SlotMap, tracking::Tracking,
};

/// All servers of a store, and the slots of each.
#[derive(Debug)]
pub(crate) struct Servers {
    /// The servers in the configuration.
    seeds: Vec<Arc<Node>>,
    names: Names,
    options: ServerOptions,
    clustered: bool,
    /// All servers that are in use, and some that were in use earlier.
    known: Mutex<Vec<Arc<Node>>>,
    slot_map: RwLock<Arc<SlotMap>>,
    /// When the slot map was last refreshed. The lock is held during a refresh.
    refreshed: tokio::sync::Mutex<Option<Instant>>,
    tracking: Arc<Tracking>,
    /// The lease of the store. Only its clock is used here.
    lease: Arc<Lease>,
}

/// The value that a request returned.
pub(crate) struct Response {
    pub(crate) value: Value,
    /// Whether the server is still the primary, and its changes are tracked.
    pub(crate) tracked: bool,
    /// Whether enough replicas have confirmed the change.
    pub(crate) confirmed: bool,
}

impl Servers {
    /// Creates servers before discovery. Until the slot map is known, `first` has all slots.
    fn new(
        names: Names,
        options: ServerOptions,
        first: Arc<Node>,
        seeds: Vec<Arc<Node>>,
        clustered: bool,
        lease: &Arc<Lease>,
    ) -> Self {
        Self {
            known: Mutex::new(seeds.clone()),
            slot_map: RwLock::new(Arc::new(SlotMap::single(first))),
            seeds,
            tracking: Tracking::new(&names, lease),
            names,
            options,
            clustered,
            refreshed: tokio::sync::Mutex::default(),
            lease: Arc::clone(lease),
        }
    }

    pub(crate) const fn names(&self) -> &Names {
        &self.names
    }

    /// The maximum number of index entries that a list reads.
    pub(crate) fn list_limit(&self) -> u64 {
        self.options.list_limit.into()
    }

    pub(crate) const fn min_replicas(&self) -> u32 {
        self.options.min_replicas
    }

    /// Returns the primaries in the current slot map.
    pub(crate) fn primaries(&self) -> Vec<Arc<Node>> {
        self.slot_map().primaries().to_vec()
    }

    /// Returns the server that should have a name.
    pub(crate) fn primary(&self, name: &[u8]) -> Option<Arc<Node>> {
        self.slot_map().primary(slot::of(name)).cloned()
    }

    fn slot_map(&self) -> Arc<SlotMap> {
        Arc::clone(&self.slot_map.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_slot_map(&self, map: SlotMap) {
        *self
            .slot_map
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(map);
    }
}
