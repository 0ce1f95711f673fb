//! The bodies of error responses.

use std::borrow::Cow;

use serde::Serialize;

/// A problem with one field of the body or one parameter of the query.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyFieldError))]
pub(crate) struct FieldError {
    pub(crate) field: Cow<'static, str>,
    pub(crate) message: String,
}

/// An error in the format of this API.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyError))]
pub(crate) struct Envelope<'a> {
    #[serde(rename = "statusCode")]
    pub(super) status_code: u16,
    /// A description for people. It may change.
    pub(super) message: &'a str,
    pub(super) error: &'a str,
    /// A stable code for programs.
    pub(super) code: &'a str,
    #[serde(rename = "requestId")]
    pub(super) request_id: &'a str,
    /// The invalid fields, if the request is not valid.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) errors: &'a [FieldError],
}

/// An error in the format of RFC 9457.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApiKeyProblem))]
pub(crate) struct Problem<'a> {
    pub(super) r#type: &'a str,
    pub(super) title: &'a str,
    pub(super) status: u16,
    /// A description for people. It may change.
    pub(super) detail: &'a str,
    /// A stable code for programs.
    pub(super) code: &'a str,
    #[serde(rename = "requestId")]
    pub(super) request_id: &'a str,
    /// The invalid fields, if the request is not valid.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) errors: &'a [FieldError],
}
