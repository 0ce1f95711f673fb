//! Tests of the conformance suite: each store here is the store in memory with one planted fault,
//! and fails only the function for the clause that the fault breaks.
//!
//! If a fault breaks several clauses, the functions for all of them fail, and a comment in the test
//! says why.

#![expect(clippy::unwrap_used, reason = "a test")]

mod failed_clauses;
mod fault;

mod aliases;
mod changes;
mod clock;
mod durable;
mod errors;
mod events;
mod format;
mod insert;
mod listing;
mod purge;
mod reservation;
mod revocation;
mod rotate;
mod tenancy;
mod update;
