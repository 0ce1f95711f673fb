//! The endpoints.

mod answer;
mod bodies;
mod body;
mod create;
#[cfg(test)]
#[cfg(feature = "openapi")]
mod documented;
mod fields;
mod issued_json;
mod json;
mod query;
mod service;

#[cfg(feature = "openapi")]
pub(crate) use self::{answer::Revoked, issued_json::Created, query::MAX_SEARCH_LENGTH};
pub use self::{issued_json::IssuedJson, service::ApiKeys};
