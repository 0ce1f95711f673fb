//! The conformance suite bites: each store here is the one in memory with one thing broken, and
//! fails the function of that clause and no other.
//!
//! Where one thing is a matter of two clauses, the functions of both fail, and the test says so.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test")]

mod caught;
mod fault;

mod changes;
mod clock;
mod durable;
mod errors;
mod format;
mod insert;
mod listing;
mod purge;
mod reservation;
mod revocation;
mod rotate;
mod tenancy;
mod update;
