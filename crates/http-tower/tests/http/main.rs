//! The services, asked without a network between.

#![expect(clippy::unwrap_used, reason = "a test")]

mod auth;
mod axum_example;
mod common;
mod create;
mod hyper_example;
mod isolation;
mod manage;
#[cfg(feature = "rate-limit")]
mod rate_limit;
mod rotate;
mod session_example;
mod tonic_example;
