//! Replicas, and a primary that writes only while it has one.

use std::time::{Duration, Instant};

use keywright_core::KeyId;
use keywright_store_redis::RedisConfig;

use super::{Proxy, REPLICATED_DEADLINE, Server, now, wait_until};

/// How long a primary that has lost its replica still accepts writes. Redis counts whole seconds.
const MAX_LAG: Duration = Duration::from_secs(3);

/// Starts a replica, and waits until it has everything that its primary has.
pub(crate) fn replica_of(port: u16) -> Server {
    let replica = Server::with(&[
        "--replicaof",
        "127.0.0.1",
        &port.to_string(),
        "--repl-diskless-sync-delay",
        "0",
    ]);
    await_link(&replica);
    replica
}

/// Makes a running server a replica, and waits until it has everything that its primary has.
pub(crate) fn replicate(replica: &Server, port: u16) {
    let () = replica.run(&format!("REPLICAOF 127.0.0.1 {port}")).unwrap();
    await_link(replica);
}

/// Makes a replica a primary.
pub(crate) fn promote(replica: &Server) {
    let () = replica.run("REPLICAOF NO ONE").unwrap();
}

/// Returns the configuration of a store that waits for one replica after each change.
pub(crate) fn replicated_config(url: String) -> RedisConfig {
    RedisConfig::new(url)
        .with_min_replicas(1)
        .with_deadline(REPLICATED_DEADLINE)
}

/// Starts a primary that writes only with a replica, a proxy between the two, and that replica.
pub(crate) fn primary_that_needs_its_replica() -> (Server, Proxy, Server) {
    let primary = Server::with(&[
        "--min-replicas-to-write",
        "1",
        "--min-replicas-max-lag",
        &MAX_LAG.as_secs().to_string(),
        "--repl-diskless-sync-delay",
        "0",
    ]);
    let proxy = Proxy::before(primary.port());
    let replica = replica_of(proxy.port());
    (primary, proxy, replica)
}

/// The time at which a primary was first seen to reject writes for lack of a replica.
#[derive(Default)]
pub(crate) struct WriteStop(Option<Instant>);

impl WriteStop {
    /// Tries to write until the primary rejects it, and returns the time of that rejection, if any.
    /// The primary has accepted no write since.
    pub(crate) fn poll(&mut self, primary: &Server) -> Option<Instant> {
        if self.0.is_none() {
            let written: redis::RedisResult<()> = primary.run("SET other 1");
            let rejected = written.is_err_and(|error| error.code() == Some("NOREPLICAS"));
            self.0 = rejected.then(now);
        }
        self.0
    }
}

/// Waits until a replica has received everything that its primary had when it connected.
pub(crate) fn await_link(replica: &Server) {
    wait_until("the replica is in sync", || {
        let info: String = replica.run("INFO replication").unwrap();
        info.contains("master_link_status:up")
    });
}

/// Waits until a record has reached the replica.
pub(crate) fn await_record(replica: &Server, id: &KeyId) {
    let exists = format!("EXISTS {}", crate::names::record(id));
    wait_until("the replica has the record", || {
        replica.run::<i64>(&exists) == Ok(1)
    });
}
