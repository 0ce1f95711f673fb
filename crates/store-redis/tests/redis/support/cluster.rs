//! A Redis Cluster of three primaries.

use std::{iter, thread, time::Duration};

use keywright_store_redis::{RedisConfig, RedisStore};
use tempfile::TempDir;

use super::{Certificate, Server, await_link, comes_to, connect, free_port};

/// How often it is asked whether all know of all, every 20 ms.
const PATIENCE: u32 = 1500;

const RANGES: [(u16, u16); 3] = [(0, 5460), (5461, 10922), (10923, 16383)];

pub(crate) struct Cluster {
    pub(crate) servers: Vec<Server>,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        Self::of(RANGES.len())
    }

    /// The same with a replica of each.
    pub(crate) fn with_replicas() -> Self {
        let cluster = Self::of(2 * RANGES.len());
        let replicas = &cluster.servers[RANGES.len()..];
        for (place, replica) in replicas.iter().enumerate() {
            let line = format!("CLUSTER REPLICATE {}", cluster.id(place));
            assert!(comes_to(|| replica.run::<()>(&line).is_ok()));
        }
        replicas.iter().for_each(await_link);
        cluster
    }

    /// One whose servers talk TLS, and how a store reaches it.
    pub(crate) fn with_tls() -> (Self, RedisConfig) {
        let certificate = Certificate::new();
        let start = || {
            let port = free_port().to_string();
            let mut options = vec!["--tls-cluster", "yes"];
            options.extend(Certificate::options(&port));
            (clustered(certificate.folder(), &options), port)
        };
        let (servers, ports): (Vec<Server>, Vec<String>) =
            iter::repeat_with(start).take(RANGES.len()).unzip();
        let config = certificate.config(&ports[2]);
        (Self::of_servers(servers, &ports), config)
    }

    fn of(count: usize) -> Self {
        let start = || clustered(tempfile::tempdir().unwrap(), &[]);
        let servers: Vec<Server> = iter::repeat_with(start).take(count).collect();
        let ports: Vec<String> = servers.iter().map(|it| it.port().to_string()).collect();
        Self::of_servers(servers, &ports)
    }

    /// They meet at these ports.
    fn of_servers(servers: Vec<Server>, ports: &[String]) -> Self {
        // As `redis-cli --cluster create` does. Servers that begin with one epoch settle that among
        // themselves at some later time, and one that then raises its own while a slot is moved away from
        // it takes that back from its new server, and gives it up: nobody has it.
        for (server, epoch) in servers.iter().zip(1..) {
            let _: () = server
                .run(&format!("CLUSTER SET-CONFIG-EPOCH {epoch}"))
                .unwrap();
        }
        let first = &servers[0];
        for (server, (start, end)) in servers.iter().zip(RANGES) {
            let _: () = server
                .run(&format!("CLUSTER ADDSLOTSRANGE {start} {end}"))
                .unwrap();
        }
        for (server, port) in servers.iter().zip(ports).skip(1) {
            let bus: Vec<String> = server.run("CONFIG GET cluster-port").unwrap();
            let _: () = first
                .run(&format!("CLUSTER MEET 127.0.0.1 {port} {}", bus[1]))
                .unwrap();
        }
        let cluster = Self { servers };
        cluster.settle();
        cluster
    }

    /// Waits until each server knows who has each slot.
    pub(crate) fn settle(&self) {
        for _ in 0..PATIENCE {
            let settled = self.servers.iter().all(|server| {
                let info: String = server.run("CLUSTER INFO").unwrap();
                info.contains("cluster_state:ok")
                    && info.contains("cluster_slots_assigned:16384")
                    && info.contains(&format!("cluster_known_nodes:{}", self.servers.len()))
            });
            if settled {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("the cluster does not come together");
    }

    /// The slot of a routing tag, and which of the first three servers has it.
    pub(crate) fn slot(&self, tag: &str) -> (u16, usize) {
        let slot: u16 = self.servers[0]
            .run(&format!("CLUSTER KEYSLOT {tag}"))
            .unwrap();
        let owner = RANGES.iter().enumerate().find_map(|(place, _)| {
            let server = &self.servers[place];
            let nodes: String = server.run("CLUSTER NODES").unwrap();
            let own = nodes.lines().find(|line| line.contains("myself"))?;
            has_slot(own, slot).then_some(place)
        });
        (slot, owner.unwrap())
    }

    /// Moves a slot with all that is in it, as `redis-cli --cluster reshard` does.
    pub(crate) fn migrate(&self, slot: u16, from: usize, to: usize) {
        self.begin_to_migrate(slot, from, to);
        loop {
            let names: Vec<String> = self.servers[from]
                .run(&format!("CLUSTER GETKEYSINSLOT {slot} 3"))
                .unwrap();
            if names.is_empty() {
                break;
            }
            self.move_keys(from, to, &names);
        }
        // The new server first, so that the slot is never without one.
        let others = (0..self.servers.len()).filter(|&place| place != to);
        let id = self.id(to);
        for place in [to].into_iter().chain(others) {
            let line = format!("CLUSTER SETSLOT {slot} NODE {id}");
            let _: () = self.servers[place].run(&line).unwrap();
        }
        assert!(comes_to(|| self.agrees()), "the servers do not agree");
    }

    /// Has one server send on requests for what it does not have of a slot, and the other answer those
    /// that were sent on.
    pub(crate) fn begin_to_migrate(&self, slot: u16, from: usize, to: usize) {
        for (place, way, other) in [(to, "IMPORTING", from), (from, "MIGRATING", to)] {
            let line = format!("CLUSTER SETSLOT {slot} {way} {}", self.id(other));
            let _: () = self.servers[place].run(&line).unwrap();
        }
    }

    /// Moves these names of such a slot.
    pub(crate) fn move_keys(&self, from: usize, to: usize, names: &[String]) {
        let (port, names) = (self.servers[to].port(), names.join(" "));
        let line = format!("MIGRATE 127.0.0.1 {port} EMPTY 0 5000 KEYS {names}");
        let moved: redis::RedisResult<String> = self.servers[from].run(&line);
        moved.unwrap();
    }

    /// What a server calls itself.
    pub(crate) fn id(&self, place: usize) -> String {
        self.servers[place].run("CLUSTER MYID").unwrap()
    }

    /// Whether all know of the latest change. Who moves the next slot before that may have a server take
    /// an older change for a newer one.
    fn agrees(&self) -> bool {
        let mut epochs: Vec<String> = self
            .servers
            .iter()
            .map(|server| {
                let info: String = server.run("CLUSTER INFO").unwrap();
                let epoch = info
                    .lines()
                    .find(|line| line.starts_with("cluster_current_epoch"));
                epoch.unwrap().to_owned()
            })
            .collect();
        epochs.dedup();
        epochs.len() == 1
    }

    /// The URLs of two of the servers: the third one is to be learnt.
    pub(crate) fn urls(&self) -> String {
        format!("{},{}", self.servers[2].url(), self.servers[1].url())
    }

    pub(crate) fn store(&self) -> RedisStore {
        connect(RedisConfig::new(self.urls()))
    }
}

/// A server that may be one of a cluster.
fn clustered(folder: TempDir, options: &[&str]) -> Server {
    let bus = free_port().to_string();
    let mut all = vec!["--cluster-enabled", "yes"];
    all.extend(["--cluster-port", &bus, "--cluster-node-timeout", "2000"]);
    all.extend(options);
    Server::in_folder(folder, &all)
}

/// Whether a line of `CLUSTER NODES` names this slot.
fn has_slot(line: &str, slot: u16) -> bool {
    line.split_whitespace().skip(8).any(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        match (first.parse::<u16>(), last.parse::<u16>()) {
            (Ok(first), Ok(last)) => (first..=last).contains(&slot),
            _ => false,
        }
    })
}
