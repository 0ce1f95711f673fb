//! Real servers, each in a folder of its own, which end with the test.

mod certificate;
mod cluster;
mod copies;
mod library;
mod proxy;
mod replica;
mod server;
mod times;

pub(crate) use self::{
    certificate::Certificate,
    cluster::Cluster,
    copies::{Copy, assert_refused_in_time, comes_to, now, report},
    library::{
        Outcome, create, first_refused, heat, library, open, operator, reads, revoke, verify,
    },
    proxy::Proxy,
    replica::{MAX_LAG, await_link, await_record, primary_that_needs_its_replica, replica_of},
    server::{Server, connect, free_port},
    times::{BOUND, DEADLINE, LEASE, PATIENT, SLACK},
};
