//! Replicas, and a primary that needs one.

use std::time::Duration;

use keywright_core::KeyId;

use super::{Proxy, Server, comes_to};

/// How long a primary that hears nothing of its replica goes on writing, give or take Redis' seconds.
pub(crate) const MAX_LAG: Duration = Duration::from_secs(1);

/// A replica that has all that its primary has.
pub(crate) fn replica_of(port: u16) -> Server {
    let replica = Server::with(&["--replicaof", "127.0.0.1", &port.to_string()]);
    await_link(&replica);
    replica
}

/// A primary that writes only with a replica, the proxy between them, and that replica.
pub(crate) fn primary_that_needs_its_replica() -> (Server, Proxy, Server) {
    let primary = Server::with(&[
        "--min-replicas-to-write",
        "1",
        "--min-replicas-max-lag",
        &MAX_LAG.as_secs().to_string(),
    ]);
    let between = Proxy::before(primary.port());
    let replica = replica_of(between.port());
    (primary, between, replica)
}

pub(crate) fn await_link(replica: &Server) {
    assert!(comes_to(|| {
        let info: String = replica.run("INFO replication").unwrap();
        info.contains("master_link_status:up")
    }));
}

/// What is not on the replica yet would not be there to be revoked.
pub(crate) fn await_record(replica: &Server, id: &KeyId) {
    let exists = format!("EXISTS {}", crate::names::record(id));
    assert!(comes_to(|| replica.run::<i64>(&exists).unwrap() == 1));
}
