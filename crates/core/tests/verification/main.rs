//! Tests of verification with a cache and of the issuer, over a store that counts its calls.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test"
)]

mod addresses;
mod attributes;
mod busy_pool;
mod by_tag;
mod cache;
mod changes;
mod clock;
mod disabled;
mod events;
mod handed_on;
mod hook;
mod in_flight_hashes;
mod introspection;
mod issuer;
mod last_used;
mod manual_clock;
mod races;
mod rehash;
mod report;
mod revoke_all;
mod self_service;
mod spy_store;
mod update;
mod world;
mod wrong_secrets;
