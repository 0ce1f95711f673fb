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
mod representation;
mod service;

#[cfg(feature = "openapi")]
pub(crate) use self::{
    issued_json::Created,
    query::MAX_SEARCH_LENGTH,
    representation::{Meta, Page, Revoked, Verdict},
};
pub use self::{issued_json::IssuedJson, service::ApiKeys};
