//! The endpoints.

mod body;
mod create;
mod issued_json;
mod json;
mod service;

pub use self::{issued_json::IssuedJson, service::ApiKeys};
