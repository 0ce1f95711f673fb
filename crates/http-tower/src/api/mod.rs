//! The endpoints.

mod answer;
mod bodies;
mod body;
mod create;
mod fields;
mod issued_json;
mod json;
mod query;
mod service;

pub use self::{issued_json::IssuedJson, service::ApiKeys};
