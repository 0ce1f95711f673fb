//! API keys over HTTP as [tower] services, for any server: [`ApiKeys`] serves the endpoints,
//! [`AuthLayer`] guards a host's own routes. It depends on `http`, `http-body` and tower's traits,
//! and on no framework; axum, hyper and tonic all take it as it is.
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
//! `examples/` has the same on plain hyper, behind a session of the host's own, and in front of a gRPC
//! service (`AuthLayer::for_grpc`). The feature `rate-limit` adds `ApiKeys::with_rate_limit`: how often each caller may ask.
//!
//! [tower]: https://docs.rs/tower

mod api;
mod auth;
mod error;
mod future;
mod item;
#[cfg(feature = "rate-limit")]
mod limit;
#[cfg(feature = "openapi")]
mod openapi;
mod page;
mod request_id;
mod trace;
mod worth;

/// The programs of the README.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

// The public interface is:
#[cfg(feature = "rate-limit")]
pub use crate::limit::RateLimit;
#[cfg(feature = "openapi")]
pub use crate::openapi::openapi;
pub use crate::{
    api::{ApiKeys, IssuedJson},
    auth::{Auth, AuthLayer, RealmError},
    error::error_response,
    future::ResponseFuture,
    item::Item,
    page::PageOfItems,
    request_id::{HEADER as REQUEST_ID, request_id},
    worth::Worth,
};
