//! Finding out which server has what.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use redis::cmd;
use tokio::time;

use super::{Servers, facts};
use crate::{
    error::{Error, Result},
    map::{self, Map},
    node::{Node, answer},
    slot,
};

/// A cluster is not asked more often than that who has which slot.
const REFRESH_PAUSE: Duration = Duration::from_millis(50);

impl Servers {
    /// Finds out anew who has what, unless that has just been done.
    pub(crate) async fn refresh(self: &Arc<Self>) {
        let mut refreshed = self.refreshed.lock().await;
        let now = self.hearing.lease().now();
        if refreshed.is_none_or(|last| now.saturating_duration_since(last) >= REFRESH_PAUSE) {
            self.learn().await;
            *refreshed = Some(self.hearing.lease().now());
        }
    }

    pub(super) async fn learn(self: &Arc<Self>) {
        let map = if self.clustered {
            self.ask_cluster().await
        } else {
            self.seek_primary().await
        };
        if let Some(map) = map {
            self.adopt(map);
        }
    }

    fn adopt(self: &Arc<Self>, map: Map) {
        self.name_heartbeats(&map);
        self.hearing.listen_to(self, map.primaries());
        *self.map.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(map);
    }

    async fn ask_cluster(&self) -> Option<Map> {
        let mut candidates = self.primaries();
        candidates.extend(self.seeds.iter().cloned());
        for node in candidates {
            let ranges = time::timeout(self.terms.deadline / 2, ranges(&node)).await;
            if let Ok(Ok(ranges)) = ranges
                && !ranges.is_empty()
            {
                return Some(Map::clustered(&ranges, |host, port| {
                    self.node_at(&node, host, port)
                }));
            }
        }
        None
    }

    /// Where several single servers are given, one of them is the primary of the others. The present
    /// one stays as long as it says that it is.
    async fn seek_primary(&self) -> Option<Map> {
        let [only] = &*self.seeds else {
            let mut candidates = self.primaries();
            candidates.extend(self.seeds.iter().cloned());
            for node in candidates {
                let facts = time::timeout(self.terms.deadline / 2, facts(&node)).await;
                if let Ok(Ok(facts)) = facts
                    && facts.primary
                {
                    return Some(Map::single(node));
                }
            }
            return None;
        };
        Some(Map::single(Arc::clone(only)))
    }

    /// Heartbeats are written in a slot that the server has.
    fn name_heartbeats(&self, map: &Map) {
        for node in map.primaries() {
            let own = |name: &[u8]| {
                map.primary(slot::of(name))
                    .is_some_and(|primary| Arc::ptr_eq(primary, node))
            };
            let present = node.own_name();
            if present.is_empty() || !own(&present) {
                let name = (0..u32::from(u16::MAX))
                    .map(|number| self.names.heartbeat(&format!("{number:x}")))
                    .find(|name| own(name));
                node.set_own_name(name.unwrap_or_default());
            }
        }
    }
}

async fn ranges(node: &Node) -> Result<Vec<map::Range>> {
    let mut live = node.connection().await?;
    let mut slots = cmd("CLUSTER");
    slots.arg("SLOTS");
    let slots = live.connection.send_packed_command(&slots).await;
    if slots.is_err() {
        node.discard(&live);
    }
    map::read_ranges(&answer(slots?)?, &node.host()).ok_or(Error::Unexpected("map of slots"))
}
