//! The store keeps the contract over real servers, and what becomes of it when they fail.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod conformance;
mod sample;
mod support;
