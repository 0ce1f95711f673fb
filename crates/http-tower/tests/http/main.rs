//! The services, asked without a network between.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod auth;
mod axum_example;
mod bodies;
mod callers;
mod common;
mod create;
mod isolation;
mod manage;
mod paths;
mod rotate;
