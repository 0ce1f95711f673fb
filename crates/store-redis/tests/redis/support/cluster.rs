//! A Redis Cluster of three primaries.

use keywright_store_redis::{RedisConfig, RedisStore};
use tempfile::TempDir;

use super::{Certificate, PATIENCE, Port, Server, await_link, connect, now, wait_until};

const RANGES: [(u16, u16); 3] = [(0, 5460), (5461, 10922), (10923, 16383)];

/// The node timeout of a settled cluster, in milliseconds: no slow server counts as failed.
const NODE_TIMEOUT: &str = "600000";

pub(crate) struct Cluster {
    pub(crate) servers: Vec<Server>,
    _ports: Vec<Port>,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        Self::of(RANGES.len())
    }

    /// Starts a cluster in which each primary has a replica. The replica of server `n` is server
    /// `n + 3`.
    pub(crate) fn with_replicas() -> Self {
        let cluster = Self::of(2 * RANGES.len());
        let replicas = &cluster.servers[RANGES.len()..];
        for (place, replica) in replicas.iter().enumerate() {
            let line = format!("CLUSTER REPLICATE {}", cluster.id(place));
            wait_until("a server becomes a replica", || {
                replica.run::<()>(&line).is_ok()
            });
        }
        replicas.iter().for_each(await_link);
        cluster
    }

    /// Starts a cluster whose servers use TLS, and returns the configuration of a store on it.
    pub(crate) fn with_tls() -> (Self, RedisConfig) {
        let certificate = Certificate::new();
        let mut servers = Vec::new();
        let mut ports = Vec::new();
        let mut tls_ports = Vec::new();
        for _ in RANGES {
            let port = Port::reserve();
            let number = port.number().to_string();
            let mut options = vec!["--tls-cluster", "yes"];
            options.extend(Certificate::options(&number));
            let (server, bus) = clustered_server(certificate.folder(), &options);
            servers.push(server);
            ports.push(bus);
            tls_ports.push(port);
        }
        let meeting: Vec<u16> = tls_ports.iter().map(Port::number).collect();
        let config = certificate.config(&tls_ports[2]);
        ports.extend(tls_ports);
        (Self::join(servers, ports, &meeting), config)
    }

    fn of(count: usize) -> Self {
        let start = |_| clustered_server(tempfile::tempdir().unwrap(), &[]);
        let (servers, ports): (Vec<Server>, Vec<Port>) = (0..count).map(start).unzip();
        let meeting: Vec<u16> = servers.iter().map(Server::port).collect();
        Self::join(servers, ports, &meeting)
    }

    /// Joins servers, which meet at these ports.
    fn join(servers: Vec<Server>, ports: Vec<Port>, meeting: &[u16]) -> Self {
        // `redis-cli --cluster create` does the same. Servers that start with equal epochs resolve
        // the collision at some later time. If a server then raises its epoch while one of its
        // slots is moved away, it takes the slot back from the new owner and then gives it up, so
        // that no server has it.
        for (server, epoch) in servers.iter().zip(1..) {
            let () = server
                .run(&format!("CLUSTER SET-CONFIG-EPOCH {epoch}"))
                .unwrap();
        }
        for (server, (start, end)) in servers.iter().zip(RANGES) {
            let () = server
                .run(&format!("CLUSTER ADDSLOTSRANGE {start} {end}"))
                .unwrap();
        }
        let cluster = Self {
            servers,
            _ports: ports,
        };
        cluster.settle(meeting);
        for server in &cluster.servers {
            let line = format!("CONFIG SET cluster-node-timeout {NODE_TIMEOUT}");
            let () = server.run(&line).unwrap();
        }
        cluster
    }

    /// Introduces the servers, and waits until each of them knows the owner of each slot.
    fn settle(&self, meeting: &[u16]) {
        // The servers give up a handshake that takes too long, and do not report it.
        const RETRY: std::time::Duration = std::time::Duration::from_secs(10);
        let mut met = None;
        wait_until("the cluster has settled", || {
            if met.is_none_or(|last| now() - last >= RETRY) {
                self.meet(meeting);
                met = Some(now());
            }
            self.servers.iter().all(|server| {
                let info: String = server.run("CLUSTER INFO").unwrap();
                info.contains("cluster_state:ok")
                    && info.contains("cluster_slots_assigned:16384")
                    && info.contains(&format!("cluster_known_nodes:{}", self.servers.len()))
            })
        });
    }

    fn meet(&self, meeting: &[u16]) {
        for (server, port) in self.servers.iter().zip(meeting).skip(1) {
            let bus: Vec<String> = server.run("CONFIG GET cluster-port").unwrap();
            let () = self.servers[0]
                .run(&format!("CLUSTER MEET 127.0.0.1 {port} {}", bus[1]))
                .unwrap();
        }
    }

    /// Returns the slot of a routing tag, and which of the first three servers owns it.
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

    /// Moves a slot and everything in it, as `redis-cli --cluster reshard` does.
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
        // The new owner first, so that the slot always has one.
        let others = (0..self.servers.len()).filter(|&place| place != to);
        let id = self.id(to);
        for place in [to].into_iter().chain(others) {
            let line = format!("CLUSTER SETSLOT {slot} NODE {id}");
            let () = self.servers[place].run(&line).unwrap();
        }
        wait_until("all servers have the latest epoch", || self.agrees());
    }

    /// Begins to move a slot: its owner redirects requests for keys that it no longer has, and the
    /// new owner accepts redirected requests.
    pub(crate) fn begin_to_migrate(&self, slot: u16, from: usize, to: usize) {
        for (place, way, other) in [(to, "IMPORTING", from), (from, "MIGRATING", to)] {
            let line = format!("CLUSTER SETSLOT {slot} {way} {}", self.id(other));
            let () = self.servers[place].run(&line).unwrap();
        }
    }

    /// Moves these names of a slot that is being moved.
    pub(crate) fn move_keys(&self, from: usize, to: usize, names: &[String]) {
        let (port, names) = (self.servers[to].port(), names.join(" "));
        let timeout = PATIENCE.as_millis();
        let line = format!("MIGRATE 127.0.0.1 {port} EMPTY 0 {timeout} KEYS {names}");
        let moved: redis::RedisResult<String> = self.servers[from].run(&line);
        moved.unwrap();
    }

    /// Kills a primary, and promotes its replica, which has all of its data.
    pub(crate) fn replace_primary(&mut self, place: usize) {
        let [primary, replica] = [place, place + RANGES.len()].map(|it| &self.servers[it]);
        wait_until("the replica has all records", || {
            let [there, here] = [primary, replica].map(|it| it.run::<u64>("DBSIZE").unwrap());
            there == here
        });
        self.servers[place].kill();
        let replica = &self.servers[place + RANGES.len()];
        let () = replica.run("CLUSTER FAILOVER TAKEOVER").unwrap();
    }

    /// Returns the id of a server in the cluster.
    pub(crate) fn id(&self, place: usize) -> String {
        self.servers[place].run("CLUSTER MYID").unwrap()
    }

    /// Whether all servers have the latest epoch. If the next slot is moved before that, a server
    /// may mistake an older change for a newer change.
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

    /// Returns the URLs of two of the servers. The store discovers the third from them.
    pub(crate) fn urls(&self) -> String {
        format!("{},{}", self.servers[2].url(), self.servers[1].url())
    }

    /// Returns the configuration of a store whose calls wait for a slow machine.
    pub(crate) fn config(&self) -> RedisConfig {
        RedisConfig::new(self.urls()).with_deadline(PATIENCE)
    }

    pub(crate) fn store(&self) -> RedisStore {
        connect(self.config())
    }
}

/// Starts a server with cluster mode enabled, and reserves the port of its cluster bus.
pub(crate) fn clustered_server(folder: TempDir, options: &[&str]) -> (Server, Port) {
    let bus = Port::reserve();
    let number = bus.number().to_string();
    let mut all = vec!["--cluster-enabled", "yes"];
    all.extend(["--cluster-port", &number, "--cluster-node-timeout", "2000"]);
    all.extend(options);
    (Server::in_folder(folder, &all), bus)
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
