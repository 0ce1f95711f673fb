//! The decision for a proxy whether a request may pass.

mod query;
mod service;

pub use self::service::ForwardAuth;
