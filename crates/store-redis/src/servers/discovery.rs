//! Discovery of the servers and their slots.

use std::{
    sync::{Arc, PoisonError, Weak},
    time::Duration,
};

use async_trait::async_trait;
use keywright_core::store::Lease;
use redis::{Client, cmd};
use tokio::time;

use super::Servers;
use crate::{
    config::{self, ParsedConfig, ServerOptions},
    connection::ok,
    error::{Error, Result},
    node::Node,
    server_info::ServerInfo,
    slot,
    slot_map::{self, SlotMap, SlotRange},
    tracking::Refresh,
};

/// The minimum time between two refreshes of the slot map.
const REFRESH_PAUSE: Duration = Duration::from_millis(50);

impl Servers {
    /// Connects to the first seed that responds, and discovers the others.
    pub(crate) async fn discover(config: ParsedConfig, lease: &Arc<Lease>) -> Result<Arc<Self>> {
        let ParsedConfig {
            clients,
            names,
            options,
        } = config;
        let seeds = start_all(clients, options, lease);
        let mut failure = Error::NoServer;
        for seed in &seeds {
            match time::timeout(options.deadline, info(seed)).await {
                Ok(Ok(info)) => {
                    let first = Arc::clone(seed);
                    let servers = Self::new(names, options, first, seeds, info.clustered, lease);
                    let servers = Arc::new(servers);
                    if !servers.clustered {
                        for seed in &servers.seeds {
                            seed.endpoint.set_has_all_slots(true);
                        }
                    }
                    servers.update_slot_map().await;
                    return Ok(servers);
                }
                Ok(Err(error)) => failure = error,
                Err(_) => failure = Error::TimedOut,
            }
        }
        Err(failure)
    }

    /// Refreshes the slot map, unless it has just been refreshed.
    pub(crate) async fn refresh(self: &Arc<Self>) {
        let mut refreshed = self.refreshed.lock().await;
        let now = self.lease.now();
        if refreshed.is_none_or(|last| now.saturating_duration_since(last) >= REFRESH_PAUSE) {
            // Boxed to keep the futures of requests small: few of them refresh.
            Box::pin(self.update_slot_map()).await;
            *refreshed = Some(self.lease.now());
        }
    }

    async fn update_slot_map(self: &Arc<Self>) {
        let map = if self.clustered {
            self.query_cluster().await
        } else {
            self.find_primary().await
        };
        if let Some(map) = map {
            self.adopt(map);
        }
    }

    fn adopt(self: &Arc<Self>, map: SlotMap) {
        self.assign_heartbeats(&map);
        let primaries = map.primaries().iter();
        let endpoints: Vec<_> = primaries.map(|node| Arc::clone(&node.endpoint)).collect();
        let servers = Arc::downgrade(self);
        let refresh: Weak<dyn Refresh> = servers;
        self.tracking.track(&endpoints, &refresh);
        self.set_slot_map(map);
    }

    /// Asks the servers, one after the other, for the slot map.
    async fn query_cluster(&self) -> Option<SlotMap> {
        let mut candidates = self.primaries();
        candidates.extend(self.seeds.iter().cloned());
        for node in candidates {
            let ranges = time::timeout(self.options.deadline / 2, slot_ranges(&node)).await;
            if let Ok(Ok(ranges)) = ranges
                && !ranges.is_empty()
            {
                return Some(SlotMap::clustered(&ranges, |host, port| {
                    self.node_at(&node, host, port)
                }));
            }
        }
        None
    }

    /// Finds the primary among the seeds. Queries the current primary first, and keeps it while it
    /// reports that it is the primary. Uses a single seed without a query.
    async fn find_primary(&self) -> Option<SlotMap> {
        if let [only] = &*self.seeds {
            return Some(SlotMap::single(Arc::clone(only)));
        }
        let mut candidates = self.primaries();
        candidates.extend(self.seeds.iter().cloned());
        for node in candidates {
            let info = time::timeout(self.options.deadline / 2, info(&node)).await;
            if let Ok(Ok(info)) = info
                && info.primary
            {
                return Some(SlotMap::single(node));
            }
        }
        None
    }

    /// Gives each primary a heartbeat name in one of its slots.
    fn assign_heartbeats(&self, map: &SlotMap) {
        for node in map.primaries() {
            let is_on_node = |name: &[u8]| {
                map.primary(slot::of(name))
                    .is_some_and(|primary| Arc::ptr_eq(primary, node))
            };
            let current = node.endpoint.heartbeat();
            if current.is_empty() || !is_on_node(&current) {
                let name = (0..u32::from(u16::MAX))
                    .map(|number| self.names.heartbeat(&format!("{number:x}")))
                    .find(|name| is_on_node(name));
                node.endpoint.set_heartbeat(name.unwrap_or_default());
            }
        }
    }

    pub(super) fn node_at_address(&self, from: &Arc<Node>, address: &str) -> Option<Arc<Node>> {
        let (host, port) = address.rsplit_once(':')?;
        self.node_at(from, host, port.parse().ok()?)
    }

    /// Returns the node at an address that the node `from` reported. An empty host means the host
    /// of `from`.
    fn node_at(&self, from: &Node, host: &str, port: u16) -> Option<Arc<Node>> {
        let (client, own_host) = (from.endpoint.client(), from.endpoint.host());
        let host = if host.is_empty() { &own_host } else { host };
        let client = config::client_at(client, host, port).ok()?;
        let address = client.get_connection_info().addr().to_string();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(node) = known.iter().find(|node| node.endpoint.address() == address) {
            return Some(Arc::clone(node));
        }
        // Drop the nodes that are not in use, so that the list stays short while the servers of a
        // cluster come and go.
        known.retain(|node| Arc::strong_count(node) > 1);
        let node = Node::start(client, from.options(), &self.lease);
        known.push(Arc::clone(&node));
        Some(node)
    }
}

#[async_trait]
impl Refresh for Servers {
    async fn refresh(self: Arc<Self>) {
        Self::refresh(&self).await;
    }
}

fn start_all(clients: Vec<Client>, options: ServerOptions, lease: &Arc<Lease>) -> Vec<Arc<Node>> {
    clients
        .into_iter()
        .map(|client| Node::start(client, options, lease))
        .collect()
}

async fn info(node: &Node) -> Result<ServerInfo> {
    let mut connection = node.endpoint.connection().await?;
    Ok(ServerInfo::query(&mut connection.redis).await?)
}

async fn slot_ranges(node: &Node) -> Result<Vec<SlotRange>> {
    let mut connection = node.endpoint.connection().await?;
    let mut slots = cmd("CLUSTER");
    slots.arg("SLOTS");
    let reply = connection.redis.send_packed_command(&slots).await;
    if reply.is_err() {
        node.endpoint.discard(&connection);
    }
    slot_map::parse_ranges(&ok(reply?)?, &node.endpoint.host()).ok_or(Error::Malformed("slot map"))
}

#[cfg(test)]
impl Servers {
    /// A cluster of which only the seed is known. No server is running.
    pub(super) fn test_cluster() -> Arc<Self> {
        let config = crate::RedisConfig::new("redis://127.0.0.1:1");
        let parsed = config.parse().unwrap();
        let lease = Arc::new(Lease::lapsed());
        let seeds = start_all(parsed.clients, parsed.options, &lease);
        let first = Arc::clone(&seeds[0]);
        Arc::new(Self::new(
            parsed.names,
            parsed.options,
            first,
            seeds,
            true,
            &lease,
        ))
    }

    pub(super) fn node_at_port(&self, port: u16) -> Arc<Node> {
        self.node_at(&self.seeds[0], "127.0.0.1", port).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nodes_that_are_no_longer_used_are_dropped() {
        let servers = Servers::test_cluster();
        let seed = Arc::clone(&servers.seeds[0]);
        let used = servers.node_at_port(2);
        for port in 3..1000 {
            let first = servers.node_at_port(port);
            let second = servers.node_at(&seed, "", port).unwrap();
            assert!(Arc::ptr_eq(&first, &second), "two nodes for one server");
        }
        let known = servers.known.lock().unwrap().len();
        assert_eq!(known, 3, "the seed, the node in use and the last node");
        for (port, node) in [(1, &seed), (2, &used)] {
            assert!(Arc::ptr_eq(&servers.node_at_port(port), node));
        }
    }
}
