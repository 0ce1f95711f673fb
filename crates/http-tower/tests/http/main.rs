//! The services, asked without a network between.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod auth;
mod axum_example;
mod callers;
mod common;
mod create;
mod input;
mod isolation;
mod manage;
mod rotate;
