//! The operations of the endpoints.

use keywright_core::Permission;
use serde_json::Value;
use utoipa::{
    ToSchema,
    openapi::{
        Content, ContentBuilder, Ref, Required, ResponseBuilder,
        path::{Operation, OperationBuilder, ParameterBuilder},
        request_body::{RequestBody, RequestBodyBuilder},
        security::SecurityRequirement,
    },
};

use super::{
    errors::ErrorResponse,
    examples, headers, parameters,
    request_bodies::{Change, Creation, Presented, Rotation},
    security,
};
use crate::views::{IssuedView, KeyPageView, KeyView, RevocationView, Validity};

/// The title of the document and the tag of its operations.
pub(super) const TAG: &str = "API keys";

/// The errors of every operation.
const GENERAL: [ErrorResponse; 5] = [
    ErrorResponse::INVALID,
    ErrorResponse::UNAUTHORIZED,
    ErrorResponse::FORBIDDEN,
    ErrorResponse::INTERNAL,
    ErrorResponse::UNAVAILABLE,
];

/// The errors of every operation with a body.
const BODY: [ErrorResponse; 2] = [ErrorResponse::TOO_LARGE, ErrorResponse::MEDIA_TYPE];

pub(super) fn create() -> Operation {
    let created = response::<IssuedView<'_>>("The new key and its token.", examples::created);
    let replayed = response::<IssuedView<'_>>(
        "The key without its token, to a repeated request.",
        examples::replayed,
    );
    let operation = managing("createApiKey", "Create a key", &Permission::API_KEYS_WRITE)
        .description(Some(
            "No other response contains the token. The key belongs to the caller's workspace. Its \
             permissions never exceed those of the caller.",
        ))
        .parameter(parameters::idempotency_key())
        .request_body(Some(body::<Creation>(Required::True, examples::to_create)))
        .response("201", with_location(created))
        .response(
            "200",
            with_location(replayed).header("Idempotency-Replayed", headers::replayed()),
        );
    with_errors(operation, &BODY)
        .response("422", reference(ErrorResponse::MISMATCH))
        .build()
}

pub(super) fn list() -> Operation {
    managing("listApiKeys", "List keys", &Permission::API_KEYS_READ)
        .description(Some("The newest keys first, including revoked keys."))
        .parameters(Some(parameters::list().map(ParameterBuilder::from)))
        .response(
            "200",
            response::<KeyPageView<'_>>("A page of keys.", examples::page),
        )
        .build()
}

pub(super) fn get() -> Operation {
    let operation = managing("getApiKey", "Get a key", &Permission::API_KEYS_READ).response(
        "200",
        response::<KeyView<'_>>("The key.", examples::key_view),
    );
    with_errors(operation, &[ErrorResponse::NOT_FOUND]).build()
}

pub(super) fn update() -> Operation {
    let operation = managing("renameApiKey", "Rename a key", &Permission::API_KEYS_WRITE)
        .request_body(Some(body::<Change>(Required::True, examples::change)))
        .response(
            "200",
            response::<KeyView<'_>>("The changed key.", examples::key_view),
        );
    let operation = with_errors(operation, &BODY);
    with_errors(
        operation,
        &[ErrorResponse::NOT_FOUND, ErrorResponse::CONFLICT],
    )
    .build()
}

pub(super) fn revoke() -> Operation {
    let operation = managing("revokeApiKey", "Revoke a key", &Permission::API_KEYS_WRITE)
        .description(Some("After this response, the server rejects the key."))
        .parameter(parameters::cascade())
        .response(
            "200",
            response::<RevocationView>("The key was revoked.", examples::revoked),
        );
    with_errors(operation, &[ErrorResponse::NOT_FOUND]).build()
}

pub(super) fn rotate() -> Operation {
    let created = response::<IssuedView<'_>>("The successor and its token.", examples::created);
    let replayed = response::<IssuedView<'_>>(
        "The successor without its token, to a repeated request.",
        examples::replayed,
    );
    let operation = managing("rotateApiKey", "Rotate a key", &Permission::API_KEYS_WRITE)
        .description(Some(
            "Creates a successor with the same permissions. The old key expires after an overlap.",
        ))
        .parameter(parameters::idempotency_key())
        .request_body(Some(body::<Rotation>(Required::False, examples::rotation)))
        .response("201", with_location(created))
        .response(
            "200",
            with_location(replayed).header("Idempotency-Replayed", headers::replayed()),
        );
    let operation = with_errors(operation, &BODY);
    with_errors(
        operation,
        &[
            ErrorResponse::NOT_FOUND,
            ErrorResponse::CONFLICT,
            ErrorResponse::MISMATCH,
        ],
    )
    .build()
}

pub(super) fn verify() -> Operation {
    let operation = operation(
        "verifyApiKey",
        "Verify a token",
        &Permission::API_KEYS_VERIFY,
    )
    .description(Some(
        "For services that cannot verify tokens themselves. Keys of other workspaces are reported \
         as not found.",
    ))
    .request_body(Some(body::<Presented>(Required::True, examples::to_verify)))
    .response(
        "200",
        response::<Validity<'_>>("Whether the token is valid.", examples::valid),
    );
    with_errors(operation, &BODY).build()
}

fn operation(id: &str, summary: &str, permission: &Permission) -> OperationBuilder {
    let operation = OperationBuilder::new()
        .operation_id(Some(id))
        .summary(Some(summary))
        .tag(TAG)
        .security(SecurityRequirement::new(
            security::NAME,
            [permission.as_str()],
        ));
    with_errors(operation, &GENERAL)
}

/// An operation that counts towards the rate limit.
fn managing(id: &str, summary: &str, permission: &Permission) -> OperationBuilder {
    with_errors(
        operation(id, summary, permission),
        &[ErrorResponse::RATE_LIMITED],
    )
}

fn with_errors(operation: OperationBuilder, errors: &[ErrorResponse]) -> OperationBuilder {
    errors.iter().fold(operation, |operation, error| {
        operation.response(error.status().as_str(), reference(*error))
    })
}

fn reference(error: ErrorResponse) -> Ref {
    Ref::from_response_name(error.name)
}

fn body<T: ToSchema>(required: Required, example: fn() -> Option<Value>) -> RequestBody {
    RequestBodyBuilder::new()
        .required(Some(required))
        .content("application/json", content::<T>(example))
        .build()
}

fn response<T: ToSchema>(description: &str, example: fn() -> Option<Value>) -> ResponseBuilder {
    headers::on_every_response(ResponseBuilder::new())
        .description(description)
        .content("application/json", content::<T>(example))
}

fn with_location(response: ResponseBuilder) -> ResponseBuilder {
    response.header("Location", headers::location())
}

fn content<T: ToSchema>(example: fn() -> Option<Value>) -> Content {
    ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(T::name())))
        .example(example())
        .build()
}
