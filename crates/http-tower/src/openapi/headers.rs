//! The headers of responses.

use serde_json::Value;
use utoipa::openapi::{
    Header, HeaderBuilder, ResponseBuilder,
    schema::{ObjectBuilder, Type},
};

use crate::schema::keywords;

/// Adds the headers of every response.
pub(super) fn on_every_response(response: ResponseBuilder) -> ResponseBuilder {
    response
        .header(
            "Cache-Control",
            required("Always `no-store`.", text().enum_values(Some(["no-store"]))),
        )
        .header(
            "X-Request-Id",
            required(
                "The id of the request: that of the client, if it sent one of 1 to 40 characters of \
                 `A-Za-z0-9._-`, or a new id.",
                text().pattern(Some("^[A-Za-z0-9._-]{1,40}$")),
            ),
        )
}

/// `Location`.
pub(super) fn location() -> Header {
    required("The path of the key.", text())
}

/// `ETag`.
pub(super) fn etag() -> Header {
    let text = text().pattern(Some(r#"^"[0-9]+"$"#)).examples([r#""1""#]);
    required("The version of the key, for `If-Match`.", text)
}

/// `Idempotency-Replayed`.
pub(super) fn replayed() -> Header {
    required(
        "Present on the response to a repeated request, which created no key.",
        text().enum_values(Some(["true"])),
    )
}

/// `WWW-Authenticate`.
pub(super) fn challenge(presence: Presence) -> Header {
    let text = text().examples([r#"Bearer realm="api""#]);
    let description = "The challenge that asks for credentials (RFC 6750, section 3).";
    match presence {
        Presence::Always => required(description, text),
        Presence::Sometimes => header(description, text).build(),
    }
}

/// Whether every response of a status has a header.
#[derive(Clone, Copy)]
pub(super) enum Presence {
    Always,
    Sometimes,
}

/// `Retry-After`.
pub(super) fn retry_after() -> Header {
    required("The seconds to wait before a retry.", count())
}

/// The headers of the rate limit. A service without a limit sends none of them.
pub(super) fn rate_limit() -> [(&'static str, Header); 3] {
    [
        (
            "X-RateLimit-Limit",
            header("The limit, in requests a minute.", count()).build(),
        ),
        (
            "X-RateLimit-Remaining",
            header("The number of requests that are accepted now.", count()).build(),
        ),
        (
            "X-RateLimit-Reset",
            header(
                "The seconds until the whole limit is available again.",
                count(),
            )
            .build(),
        ),
    ]
}

/// The headers that name the caller to the service behind a proxy.
pub(super) fn identity() -> [(&'static str, Header); 4] {
    [
        (
            "X-Keywright-Key-Id",
            required(
                "The id of the key. Empty if the caller is not a key.",
                text(),
            ),
        ),
        (
            "X-Keywright-Workspace",
            required("The workspace of the key.", text()),
        ),
        (
            "X-Keywright-Owner",
            required("The owner of the key. Empty if it has none.", text()),
        ),
        (
            "X-Keywright-Environment",
            required(
                "The environment of the key.",
                text().enum_values(Some(["live", "test"])),
            ),
        ),
    ]
}

fn required(description: &str, schema: ObjectBuilder) -> Header {
    header(description, schema)
        .extensions(keywords([("required", Value::Bool(true))]))
        .build()
}

fn header(description: &str, schema: ObjectBuilder) -> HeaderBuilder {
    HeaderBuilder::new()
        .schema(Some(schema))
        .description(Some(description))
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn count() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(0))
}
