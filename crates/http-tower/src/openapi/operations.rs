//! The operations of the endpoints.

use keywright_core::Permission;
use serde_json::Value;
use utoipa::{
    ToSchema,
    openapi::{
        Content, ContentBuilder, Ref, Required, ResponseBuilder,
        path::{Operation, OperationBuilder, ParameterBuilder},
        request_body::{RequestBody, RequestBodyBuilder},
    },
};

use super::{
    errors::ErrorResponse,
    examples, headers, parameters,
    request_bodies::{Change, Creation, Presented, Rotation},
    security::Schemes,
};
use crate::views::{
    EventPageView, IssuedView, KeyPageView, KeyView, ReportView, RevocationView, Validity,
};

/// The title of the document and the tag of its operations.
pub(super) const TAG: &str = "API keys";

/// The errors of every operation.
pub(super) const GENERAL: [ErrorResponse; 5] = [
    ErrorResponse::INVALID,
    ErrorResponse::UNAUTHORIZED,
    ErrorResponse::FORBIDDEN,
    ErrorResponse::INTERNAL,
    ErrorResponse::UNAVAILABLE,
];

/// The errors of every operation with a body.
const BODY: [ErrorResponse; 2] = [ErrorResponse::TOO_LARGE, ErrorResponse::MEDIA_TYPE];

pub(super) fn create(schemes: Schemes<'_>) -> Operation {
    let permission = Some(&Permission::API_KEYS_WRITE);
    let operation = managing(schemes, "createApiKey", "Create a key", permission).description(Some(
        "No other response contains the token. The key belongs to the caller's workspace and owner. \
         It has no permission that the caller lacks, expires no later than the caller, and can be \
         used only from addresses within the caller's.",
    ));
    let operation =
        issuing(operation, "The new key and its token.")
            .request_body(Some(body::<Creation>(Required::True, examples::to_create)));
    with_errors(operation, &[ErrorResponse::MISMATCH]).build()
}

pub(super) fn list(schemes: Schemes<'_>) -> Operation {
    let permission = Some(&Permission::API_KEYS_READ);
    managing(schemes, "listApiKeys", "List keys", permission)
        .description(Some("The newest keys first, including revoked keys."))
        .parameters(Some(parameters::list().map(ParameterBuilder::from)))
        .response(
            "200",
            response::<KeyPageView<'_>>("A page of keys.", examples::page),
        )
        .build()
}

pub(super) fn events(schemes: Schemes<'_>) -> Operation {
    let permission = Some(&Permission::API_KEYS_READ);
    let operation = managing(schemes, "listApiKeyEvents", "List events", permission)
        .description(Some(
            "Each creation, update, rotation and revocation of a key leaves an event. The newest \
             events first, including those of keys whose records were deleted. A key without events \
             or that the caller does not see has an empty list.",
        ))
        .parameters(Some(parameters::events().map(ParameterBuilder::from)))
        .response(
            "200",
            response::<EventPageView<'_>>("A page of events.", examples::event_page),
        );
    with_errors(operation, &[ErrorResponse::NO_EVENT_LOG]).build()
}

pub(super) fn report(schemes: Schemes<'_>) -> Operation {
    let permission = Some(&Permission::API_KEYS_READ);
    let summary = "Report keys that deserve attention";
    managing(schemes, "reportApiKeys", summary, permission)
        .description(Some(
            "Reads up to 10,000 keys, from the newest to the oldest. Expired and revoked keys are in \
             no section.",
        ))
        .parameter(parameters::report_cursor())
        .response(
            "200",
            response::<ReportView<'_>>("The report.", examples::report),
        )
        .build()
}

pub(super) fn get(schemes: Schemes<'_>) -> Operation {
    let permission = Some(&Permission::API_KEYS_READ);
    getting(managing(schemes, "getApiKey", "Get a key", permission))
}

pub(super) fn get_own(schemes: Schemes<'_>) -> Operation {
    let operation = managing(schemes, "getOwnApiKey", "Get the calling key", None);
    getting(operation.description(Some(
        "Requires no permission. A caller that is not a key gets 404.",
    )))
}

fn getting(operation: OperationBuilder) -> Operation {
    let found = response::<KeyView<'_>>("The key.", examples::key_view);
    let operation = operation.response("200", with_etag(found));
    with_errors(operation, &[ErrorResponse::NOT_FOUND]).build()
}

pub(super) fn update(schemes: Schemes<'_>) -> Operation {
    let permission = Some(&Permission::API_KEYS_WRITE);
    let changed = response::<KeyView<'_>>("The changed key.", examples::key_view);
    let operation = managing(schemes, "updateApiKey", "Update a key", permission)
        .description(Some(
            "All fields change together. The caller must have the permissions that the key has, and \
             those that it gets. After a rotation, the expiry of the old key can only move earlier.",
        ))
        .parameter(parameters::if_match())
        .request_body(Some(body::<Change>(Required::True, examples::change)))
        .response("200", with_etag(changed));
    let operation = with_errors(operation, &BODY);
    with_errors(
        operation,
        &[
            ErrorResponse::NOT_FOUND,
            ErrorResponse::CONFLICT,
            ErrorResponse::VERSION_MISMATCH,
        ],
    )
    .build()
}

pub(super) fn revoke(schemes: Schemes<'_>) -> Operation {
    let permission = Some(&Permission::API_KEYS_WRITE);
    let operation = managing(schemes, "revokeApiKey", "Revoke a key", permission);
    revoking(operation.description(Some("After this response, the server rejects the key.")))
}

pub(super) fn revoke_own(schemes: Schemes<'_>) -> Operation {
    let operation = managing(schemes, "revokeOwnApiKey", "Revoke the calling key", None);
    revoking(operation.description(Some(
        "Requires no permission. After this response, the server rejects the key.",
    )))
}

fn revoking(operation: OperationBuilder) -> Operation {
    let operation = operation.parameter(parameters::cascade()).response(
        "200",
        response::<RevocationView>("The key was revoked.", examples::revoked),
    );
    with_errors(operation, &[ErrorResponse::NOT_FOUND]).build()
}

pub(super) fn rotate(schemes: Schemes<'_>) -> Operation {
    let permission = Some(&Permission::API_KEYS_WRITE);
    let operation = managing(schemes, "rotateApiKey", "Rotate a key", permission);
    rotating(operation)
}

pub(super) fn rotate_own(schemes: Schemes<'_>) -> Operation {
    let permission = Some(&Permission::API_KEYS_SELF_ROTATE);
    let summary = "Rotate the calling key";
    rotating(managing(schemes, "rotateOwnApiKey", summary, permission))
}

fn rotating(operation: OperationBuilder) -> Operation {
    let operation = operation.description(Some(
        "Creates a successor with the same permissions. The old key expires after an overlap.",
    ));
    let operation =
        issuing(operation, "The successor and its token.")
            .request_body(Some(body::<Rotation>(Required::False, examples::rotation)));
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

/// Adds the parameter, the responses and the errors of an operation that issues a token.
fn issuing(operation: OperationBuilder, description: &str) -> OperationBuilder {
    let created = response::<IssuedView<'_>>(description, examples::created);
    let replayed = response::<IssuedView<'_>>(
        "The key without its token, to a repeated request.",
        examples::replayed,
    );
    let operation = operation
        .parameter(parameters::idempotency_key())
        .response("201", with_etag(with_location(created)))
        .response(
            "200",
            with_location(replayed).header("Idempotency-Replayed", headers::replayed()),
        );
    with_errors(operation, &BODY)
}

pub(super) fn verify(schemes: Schemes<'_>) -> Operation {
    let permission = Some(&Permission::API_KEYS_VERIFY);
    let operation = operation(schemes, "verifyApiKey", "Verify a token", permission)
        .description(Some(
            "For services that cannot verify tokens themselves. Keys of other workspaces are \
             reported as not found.",
        ))
        .request_body(Some(body::<Presented>(Required::True, examples::to_verify)))
        .response(
            "200",
            response::<Validity<'_>>("Whether the token is valid.", examples::valid),
        );
    with_errors(operation, &BODY).build()
}

pub(super) fn authorize_request(schemes: Schemes<'_>) -> Operation {
    let passes =
        headers::on_every_response(ResponseBuilder::new()).description("The request may pass.");
    let passes = headers::identity()
        .into_iter()
        .fold(passes, |response, (name, header)| {
            response.header(name, header)
        });
    operation(schemes, "authorizeApiKeyRequest", "Decide whether a request may pass", None)
        .description(Some(
            "For `auth_request` of nginx, `forward_auth` of Caddy, `forwardAuth` of Traefik and \
             `ext_authz` of Envoy. Accepts any method, and reads no body. A proxy that appends the \
             path and the query of its client ends the query with `&uri=`. What follows is not read.",
        ))
        .parameter(parameters::required_permissions())
        .response("200", passes)
        .build()
}

fn operation(
    schemes: Schemes<'_>,
    id: &str,
    summary: &str,
    permission: Option<&Permission>,
) -> OperationBuilder {
    let operation = OperationBuilder::new()
        .operation_id(Some(id))
        .summary(Some(summary))
        .tag(TAG)
        .securities(Some(schemes.requirements(permission)));
    with_errors(operation, &GENERAL)
}

/// An operation that counts towards the rate limit.
fn managing(
    schemes: Schemes<'_>,
    id: &str,
    summary: &str,
    permission: Option<&Permission>,
) -> OperationBuilder {
    let operation = operation(schemes, id, summary, permission);
    with_errors(operation, &[ErrorResponse::RATE_LIMITED])
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

fn with_etag(response: ResponseBuilder) -> ResponseBuilder {
    response.header("ETag", headers::etag())
}

fn content<T: ToSchema>(example: fn() -> Option<Value>) -> Content {
    ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(T::name())))
        .example(example())
        .build()
}
