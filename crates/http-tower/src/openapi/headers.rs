//! The headers of answers.

use serde_json::Value;
use utoipa::openapi::{
    Header, HeaderBuilder, ResponseBuilder,
    schema::{ObjectBuilder, Type},
};

use super::text::words;

/// Adds what every answer has.
pub(crate) fn on_every_answer(answer: ResponseBuilder) -> ResponseBuilder {
    answer
        .header(
            "Cache-Control",
            always("Always `no-store`.", text().enum_values(Some(["no-store"]))),
        )
        .header(
            "X-Request-Id",
            always(
                "The id of the request: the client's own where it sent one, of 1 to 40 of \
                 `A-Za-z0-9._-`.",
                text().pattern(Some("^[A-Za-z0-9._-]{1,40}$")),
            ),
        )
}

/// Where the new key is.
pub(super) fn location() -> Header {
    always("The path of the key.", text())
}

/// That an answer is one to a repeat.
pub(super) fn replayed() -> Header {
    always(
        "That the key is not new.",
        text().enum_values(Some(["true"])),
    )
}

/// How credentials are asked for, on every answer of a status or on some.
pub(super) fn challenge(presence: Presence) -> Header {
    let text = text().examples([r#"Bearer realm="api""#]);
    let description = "How credentials are asked for (RFC 6750, section 3).";
    match presence {
        Presence::Always => always(description, text),
        Presence::Sometimes => header(description, text).build(),
    }
}

/// Whether a header is on every answer.
#[derive(Clone, Copy)]
pub(super) enum Presence {
    Always,
    Sometimes,
}

/// When to ask again.
pub(super) fn retry_after() -> Header {
    always("After how many seconds to ask again.", count())
}

/// What a limit of requests says of itself.
pub(super) fn rate_limit() -> [(&'static str, Header); 3] {
    [
        (
            "X-RateLimit-Limit",
            header("How many requests may be made in a minute.", count()).build(),
        ),
        (
            "X-RateLimit-Remaining",
            header("How many of them are left.", count()).build(),
        ),
        (
            "X-RateLimit-Reset",
            header("After how many seconds all of them are back.", count()).build(),
        ),
    ]
}

fn always(description: &str, schema: ObjectBuilder) -> Header {
    header(description, schema)
        .extensions(words([("required", Value::Bool(true))]))
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
