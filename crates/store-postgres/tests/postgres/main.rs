//! Tests of the store on real PostgreSQL servers. Each process has a private cluster in a temporary
//! folder.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "these are tests"
)]

mod cluster;
mod conformance;
mod feed;
mod host_transaction;
mod opening;
mod outages;
mod plans;
mod rows;
mod sample;
mod schema;
mod tenants;
