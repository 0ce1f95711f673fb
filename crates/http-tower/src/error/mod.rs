//! Error responses.

mod api_error;
mod body;
mod challenge;
mod format;
mod from_core;
mod grpc;

#[cfg(feature = "openapi")]
pub(crate) use self::body::{Envelope, Problem};
pub(crate) use self::{
    api_error::ApiError, body::FieldError, challenge::Challenge, format::ResponseFormat,
    from_core::causes, grpc::is_grpc_call,
};
pub use self::{api_error::error_response, from_core::issue_error_response};
