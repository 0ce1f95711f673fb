//! The services, asked without a network between.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod auth;
mod axum_example;
mod callers;
mod common;
mod create;
mod hyper_example;
mod input;
mod isolation;
mod manage;
#[cfg(feature = "openapi")]
#[expect(clippy::indexing_slicing, reason = "a test")]
mod openapi;
#[cfg(feature = "rate-limit")]
mod rate_limit;
mod rotate;
mod session_example;
mod tonic_example;
