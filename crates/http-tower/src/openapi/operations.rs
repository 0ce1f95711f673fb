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
    SECURITY, TAG,
    bodies::{ApiKeyToCreate, Change, Presented, Rotation},
    examples,
    failures::Failure,
    headers, parameters,
};
use crate::{
    api::{Created, Revoked},
    item::Item,
    page::PageOfItems,
    worth::Verdict,
};

/// What can become of every request.
const GENERAL: [Failure; 5] = [
    Failure::INVALID,
    Failure::UNAUTHORIZED,
    Failure::FORBIDDEN,
    Failure::INTERNAL,
    Failure::UNAVAILABLE,
];

/// What can become of a body.
const BODY: [Failure; 2] = [Failure::TOO_LARGE, Failure::MEDIA_TYPE];

pub(super) fn create() -> Operation {
    let created = answer::<Created<'_>>("The new key and its token.", examples::created);
    let replayed = answer::<Created<'_>>("The key, to a repeat.", examples::replayed);
    let operation = managing("createApiKey", "Create a key", &Permission::API_KEYS_WRITE)
        .description(Some(
            "The token is in this answer and nowhere else. The key belongs to the caller's \
             workspace, and can do what the caller can, or less.",
        ))
        .parameter(parameters::idempotency_key())
        .request_body(Some(body::<ApiKeyToCreate>(
            Required::True,
            examples::to_create,
        )))
        .response("201", located(created))
        .response(
            "200",
            located(replayed).header("Idempotency-Replayed", headers::replayed()),
        );
    fails(operation, &BODY)
        .response("422", failure(Failure::MISMATCH))
        .build()
}

pub(super) fn list() -> Operation {
    managing("listApiKeys", "List keys", &Permission::API_KEYS_READ)
        .description(Some("The newest first; revoked ones too."))
        .parameters(Some(parameters::list().map(ParameterBuilder::from)))
        .response(
            "200",
            answer::<PageOfItems<'_>>("A page of keys.", examples::page),
        )
        .build()
}

pub(super) fn find() -> Operation {
    let operation = managing("getApiKey", "Look at a key", &Permission::API_KEYS_READ)
        .response("200", answer::<Item<'_>>("The key.", examples::item));
    fails(operation, &[Failure::NOT_FOUND]).build()
}

pub(super) fn rename() -> Operation {
    let operation = managing("renameApiKey", "Rename a key", &Permission::API_KEYS_WRITE)
        .request_body(Some(body::<Change>(Required::True, examples::change)))
        .response(
            "200",
            answer::<Item<'_>>("The renamed key.", examples::item),
        );
    let operation = fails(operation, &BODY);
    fails(operation, &[Failure::NOT_FOUND, Failure::CONFLICT]).build()
}

pub(super) fn revoke() -> Operation {
    let operation = managing("revokeApiKey", "Revoke a key", &Permission::API_KEYS_WRITE)
        .description(Some("Once this answers, the key opens nothing any more."))
        .parameter(parameters::cascade())
        .response(
            "200",
            answer::<Revoked>("What was revoked.", examples::revoked),
        );
    fails(operation, &[Failure::NOT_FOUND]).build()
}

pub(super) fn rotate() -> Operation {
    let created = answer::<Created<'_>>("The successor and its token.", examples::created);
    let replayed = answer::<Created<'_>>("The successor, to a repeat.", examples::replayed);
    let operation = managing("rotateApiKey", "Rotate a key", &Permission::API_KEYS_WRITE)
        .description(Some(
            "The key gets a successor that can do what it can, and ends after an overlap.",
        ))
        .parameter(parameters::idempotency_key())
        .request_body(Some(body::<Rotation>(Required::False, examples::rotation)))
        .response("201", located(created))
        .response(
            "200",
            located(replayed).header("Idempotency-Replayed", headers::replayed()),
        );
    let operation = fails(operation, &BODY);
    fails(
        operation,
        &[Failure::NOT_FOUND, Failure::CONFLICT, Failure::MISMATCH],
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
        "For services that cannot verify tokens themselves. Only keys of the caller's workspace \
             are ever valid.",
    ))
    .request_body(Some(body::<Presented>(Required::True, examples::to_verify)))
    .response(
        "200",
        answer::<Verdict<'_>>("What the token is worth.", examples::valid),
    );
    fails(operation, &BODY).build()
}

fn operation(id: &str, summary: &str, needs: &Permission) -> OperationBuilder {
    let operation = OperationBuilder::new()
        .operation_id(Some(id))
        .summary(Some(summary))
        .tag(TAG)
        .security(SecurityRequirement::new(SECURITY, [needs.as_str()]));
    fails(operation, &GENERAL)
}

/// An operation that a rate limit counts.
fn managing(id: &str, summary: &str, needs: &Permission) -> OperationBuilder {
    fails(operation(id, summary, needs), &[Failure::RATE_LIMITED])
}

fn fails(operation: OperationBuilder, failures: &[Failure]) -> OperationBuilder {
    failures.iter().fold(operation, |operation, one| {
        operation.response(one.status.as_str(), failure(*one))
    })
}

fn failure(failure: Failure) -> Ref {
    Ref::from_response_name(failure.name)
}

fn body<T: ToSchema>(required: Required, example: fn() -> Option<Value>) -> RequestBody {
    RequestBodyBuilder::new()
        .required(Some(required))
        .content("application/json", content::<T>(example))
        .build()
}

fn answer<T: ToSchema>(description: &str, example: fn() -> Option<Value>) -> ResponseBuilder {
    headers::on_every_answer(ResponseBuilder::new())
        .description(description)
        .content("application/json", content::<T>(example))
}

fn located(answer: ResponseBuilder) -> ResponseBuilder {
    answer.header("Location", headers::location())
}

fn content<T: ToSchema>(example: fn() -> Option<Value>) -> Content {
    ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(T::name())))
        .example(example())
        .build()
}
