//! Tests of pings.

use futures_executor::block_on;
use keywright_core::store::{KeyStore, StoreErrorKind};

use crate::{
    chain,
    support::{Cluster, DEADLINE, Server, calls, connect, returns, wait_until, without_reconnects},
};

/// The commands that a ping uses, and those that a search for keys would use.
const COMMANDS: [&str; 5] = ["getex", "get", "mget", "scan", "ping"];

fn total_calls(server: &Server) -> u64 {
    COMMANDS.map(|command| calls(server, command)).iter().sum()
}

#[test]
fn a_ping_is_one_command_whatever_else_the_server_contains() {
    let server = Server::start();
    let store = server.store();
    let mut fill = redis::cmd("EVAL");
    fill.arg("for n = 1, 20000 do redis.call('SET', 'other:' .. n, n) end")
        .arg(0);
    let () = fill.query(&mut server.redis()).unwrap();
    without_reconnects(&server, || {
        block_on(store.ping()).unwrap();
        let before = [total_calls(&server), calls(&server, "getex")];
        block_on(store.ping()).unwrap();
        let after = [total_calls(&server), calls(&server, "getex")];
        match after == before.map(|count| count + 1) {
            true => Ok(()),
            false => Err(format!("{before:?}, then {after:?}")),
        }
    });
}

#[test]
fn a_ping_fails_while_a_server_is_not_a_primary_or_does_not_reply() {
    let server = Server::start();
    let store = server.store_with_default_deadline();
    block_on(store.ping()).unwrap();
    let () = server.run("REPLICAOF 127.0.0.1 1").unwrap();
    wait_until("the replica fails a ping", || {
        let error = returns(store.ping()).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        chain(&error).contains("ReadOnly")
    });
    let () = server.run("REPLICAOF NO ONE").unwrap();
    wait_until("the primary replies", || block_on(store.ping()).is_ok());
    server.pause();
    let error = returns(store.ping()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    server.resume();
    wait_until("the server replies", || block_on(store.ping()).is_ok());
}

#[test]
fn a_ping_reaches_each_primary_of_a_cluster() {
    let mut cluster = Cluster::start();
    let store = connect(cluster.config().with_deadline(DEADLINE));
    wait_until("the cluster replies", || block_on(store.ping()).is_ok());
    for server in &cluster.servers {
        assert!(calls(server, "getex") > 0);
    }
    cluster.servers[1].kill();
    let error = returns(store.ping()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
}
