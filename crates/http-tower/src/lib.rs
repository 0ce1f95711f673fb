//! API keys over HTTP, as [tower] services for any server.
//!
//! [`ApiKeys`] serves the endpoints that create, list, update, revoke, rotate and verify keys, and
//! those that list the events of these changes and report the keys that deserve attention.
//! [`AuthLayer`] guards the routes of the host. [`ForwardAuth`] decides for a proxy, such as nginx,
//! whether a request may pass. All three depend on `http`, `http-body` and the traits of tower, and
//! on no framework: axum, hyper and tonic use them without an adapter.
//!
//! ```
//! use axum::{Extension, Router, routing::get};
//! use keywright_core::{Caller, Keywright};
//! use keywright_http_tower::{ApiKeys, AuthLayer};
//!
//! fn app(keys: &Keywright) -> Result<Router, Box<dyn std::error::Error>> {
//!     let readers = AuthLayer::new(keys.verifier().clone()).require("calls:read".parse()?);
//!     Ok(Router::new()
//!         .route("/calls", get(calls).layer(readers))
//!         .nest_service("/v1/api-keys", ApiKeys::nested(keys, "/v1/api-keys")))
//! }
//!
//! async fn calls(Extension(caller): Extension<Caller>) -> String {
//!     format!("the calls of {}", caller.workspace())
//! }
//! ```
//!
//! A key may be restricted to addresses. All three compare them with the [`ClientIp`] of a request,
//! which the host sets or [`ClientIpLayer`] derives behind proxies.
//!
//! The folder `examples/` contains complete services: on axum, on plain hyper, behind the host's
//! own sessions, for an organisation with admins and members, as a gateway, for gRPC
//! ([`AuthLayer::for_grpc`]), and with signed webhooks about each change.
//!
//! # Features
//!
//! * `rate-limit`: `ApiKeys::with_rate_limit` limits the requests of each caller.
//! * `openapi`: `openapi` and `ApiKeys::openapi` return the OpenAPI document of the endpoints.
//!
//! [tower]: https://docs.rs/tower

mod api;
mod auth;
mod bounds;
mod client_ip;
mod error;
mod forward_auth;
mod future;
#[cfg(feature = "openapi")]
mod openapi;
mod query;
#[cfg(feature = "rate-limit")]
mod rate_limit;
mod request_id;
#[cfg(feature = "openapi")]
mod schema;
mod trace;
mod views;

/// The programs in the README of the project.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct ProjectReadme;

/// The programs in the README of this crate.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

// The public interface is:
#[cfg(feature = "openapi")]
pub use crate::openapi::openapi;
#[cfg(feature = "rate-limit")]
pub use crate::rate_limit::RateLimit;
pub use crate::{
    api::ApiKeys,
    auth::{Auth, AuthLayer, RealmError, Rejection},
    client_ip::{ClientIp, ClientIpLayer, ClientIpService},
    error::{error_response, issue_error_response},
    forward_auth::ForwardAuth,
    future::ResponseFuture,
    request_id::{HEADER as REQUEST_ID, request_id},
    views::{EventPageView, IntrospectionView, IssuedJson, KeyPageView, KeyView, ReportView},
};
