//! The endpoints.

mod body;
mod create;
mod json;
mod service;

pub use self::{create::issued_json, service::ApiKeys};
