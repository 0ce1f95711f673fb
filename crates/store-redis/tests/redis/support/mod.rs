//! Real servers, proxies and stores, and the ways in which tests wait for them.

mod certificate;
mod cluster;
mod copy;
mod library;
mod proxy;
mod replica;
mod server;
mod stop;
mod times;
mod wait;

pub(crate) use self::{
    certificate::Certificate,
    cluster::{Cluster, clustered_server},
    copy::{Copy, assert_rejected_in_time},
    library::{
        Verification, calls, create, decide, first_rejection, library, library_over, operator,
        reads, retry, revoke, verify, warm_up,
    },
    proxy::Proxy,
    replica::{
        WriteStop, await_link, await_record, primary_that_needs_its_replica, promote, replica_of,
        replicate, replicated_config,
    },
    server::{PATIENCE, Port, Server, connect, connect_error},
    stop::StopOnDrop,
    times::{BOUND, DEADLINE, LEASE, REPLICATED_DEADLINE},
    wait::{now, report, returns, until_available, wait_for, wait_until, without_reconnects},
};
