//! The endpoints.

mod body;
mod browser;
mod context;
mod create;
mod etag;
mod events;
mod fields;
mod get;
mod issuance;
mod list;
mod mount;
#[cfg(test)]
#[cfg(feature = "openapi")]
mod openapi_test;
mod query;
mod report;
mod response;
mod revoke;
mod rotate;
mod router;
mod service;
mod strict_json;
mod update;
mod verify;

pub use self::service::ApiKeys;
