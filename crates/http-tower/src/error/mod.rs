//! Error responses.

mod api_error;
mod body;
mod challenge;
mod format;
mod from_core;
mod grpc;

pub use self::api_error::error_response;
#[cfg(feature = "openapi")]
pub(crate) use self::body::{Envelope, Problem};
pub(crate) use self::{
    api_error::ApiError, body::FieldError, challenge::Challenge, format::ResponseFormat,
    grpc::is_grpc_call,
};
