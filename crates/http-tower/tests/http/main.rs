//! The services, called without a network. The examples that listen on a socket are called over
//! that socket.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod auth;
mod axum_example;
mod bodies;
mod busy;
mod callers;
mod common;
mod create;
mod hyper_example;
mod isolation;
mod manage;
#[cfg(feature = "openapi")]
mod openapi;
mod paths;
#[cfg(feature = "rate-limit")]
mod rate_limit;
mod rotate;
mod session_example;
mod tonic_example;
