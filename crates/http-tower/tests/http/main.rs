//! The services, called without a network. The examples that listen on a socket are called over
//! that socket.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod auth;
mod axum_example;
mod bodies;
mod browser_sessions;
mod busy;
mod callers;
mod client_ip;
mod common;
mod create;
mod events;
mod forward_auth;
mod gateway_example;
mod hyper_example;
mod isolation;
mod manage;
#[cfg(feature = "openapi")]
mod openapi;
mod organisation_example;
mod own_keys;
mod paths;
#[cfg(feature = "rate-limit")]
mod rate_limit;
mod rejection;
mod rotate;
mod session_example;
mod tonic_example;
mod update;
mod verify;
mod webhooks_example;
