//! Tests of the store on real PostgreSQL servers. Each process has a private cluster in a temporary
//! folder.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "these are tests"
)]

mod bouncer;
mod cluster;
mod conformance;
mod failover;
mod feed;
mod full_disk;
mod host_transaction;
mod lost_connections;
mod opening;
mod outages;
mod pgbouncer;
mod plans;
mod proxy;
mod router;
mod rows;
mod sample;
mod schema;
mod sign_up_service_example;
mod tenants;
mod transfer;
