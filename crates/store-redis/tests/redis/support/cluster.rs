//! A Redis Cluster of three primaries.

use std::{thread, time::Duration};

use futures_executor::block_on;
use keywright_store_redis::{RedisConfig, RedisStore};

use super::{Server, free_port};

/// How often it is asked whether all know of all, every 20 ms.
const PATIENCE: u32 = 1500;

const RANGES: [(u16, u16); 3] = [(0, 5460), (5461, 10922), (10923, 16383)];

pub(crate) struct Cluster {
    pub(crate) servers: Vec<Server>,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let servers: Vec<Server> = RANGES
            .iter()
            .map(|_| {
                let bus = free_port().to_string();
                Server::with(&[
                    "--cluster-enabled",
                    "yes",
                    "--cluster-port",
                    &bus,
                    "--cluster-node-timeout",
                    "2000",
                ])
            })
            .collect();
        let first = &servers[0];
        for (server, (start, end)) in servers.iter().zip(RANGES) {
            let _: () = server
                .run(&format!("CLUSTER ADDSLOTSRANGE {start} {end}"))
                .unwrap();
        }
        for server in &servers[1..] {
            let bus: Vec<String> = server.run("CONFIG GET cluster-port").unwrap();
            let _: () = first
                .run(&format!(
                    "CLUSTER MEET 127.0.0.1 {} {}",
                    server.port(),
                    bus[1]
                ))
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

    /// The URLs of two of the servers: the third one is to be learnt.
    pub(crate) fn urls(&self) -> String {
        format!("{},{}", self.servers[2].url(), self.servers[1].url())
    }

    pub(crate) fn store(&self) -> RedisStore {
        block_on(RedisStore::connect(RedisConfig::new(self.urls()))).unwrap()
    }
}
