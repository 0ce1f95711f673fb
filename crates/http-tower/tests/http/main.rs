//! The services, asked without a network between.

#![expect(clippy::unwrap_used, reason = "a test")]

mod auth;
mod axum_example;
mod common;
mod create;
mod isolation;
mod manage;
#[cfg(feature = "openapi")]
#[expect(clippy::indexing_slicing, reason = "a test")]
mod openapi;
mod rotate;
