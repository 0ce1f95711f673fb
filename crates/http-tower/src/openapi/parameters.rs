//! The parameters of paths, queries and headers.

use keywright_core::{IdempotencyKey, ListKeys};
use utoipa::{
    ToSchema,
    openapi::{
        Ref, RefOr, Required, Schema,
        path::{Parameter, ParameterBuilder, ParameterIn},
        schema::{ObjectBuilder, Type},
    },
};

use super::text::ApiKeyId;
use crate::api::MAX_SEARCH_LENGTH;

/// `{id}`.
pub(super) fn id() -> Parameter {
    ParameterBuilder::new()
        .name("id")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(Ref::from_schema_name(ApiKeyId::name())))
        .build()
}

/// What a list may be asked for.
pub(super) fn list() -> [Parameter; 5] {
    [
        query(
            "page",
            "Which page, 1 for the first. Not with `cursor`.",
            integer().maximum(Some(u32::MAX)).default(Some(1.into())),
        ),
        query(
            "limit",
            "Most keys on the page.",
            integer()
                .maximum(Some(ListKeys::MAX_LIMIT))
                .default(Some(ListKeys::DEFAULT_LIMIT.into())),
        ),
        query(
            "search",
            "Only keys whose name holds this text, in upper or lower case.",
            string().max_length(Some(MAX_SEARCH_LENGTH)),
        ),
        query(
            "status",
            "Only keys of this status.",
            string().enum_values(Some(["active", "expired", "revoked"])),
        ),
        query(
            "cursor",
            "`next_cursor` of an earlier page, with the same `search` and `status`. Not with `page`.",
            string().min_length(Some(1)),
        ),
    ]
}

/// `?cascade=`.
pub(super) fn cascade() -> Parameter {
    query(
        "cascade",
        "Whether also every key is revoked that the key created or was rotated into, at any depth.",
        ObjectBuilder::new()
            .schema_type(Type::Boolean)
            .default(Some(false.into())),
    )
}

/// `Idempotency-Key`.
pub(super) fn idempotency_key() -> Parameter {
    let schema = string()
        .pattern(Some("^[!-~]+$"))
        .min_length(Some(1))
        .max_length(Some(IdempotencyKey::MAX_LENGTH));
    optional(
        "Idempotency-Key",
        ParameterIn::Header,
        "Makes a repeat of the request, with the same body and within 24 hours, do nothing twice: it \
         is answered with the key and without its token.",
        schema,
    )
}

fn query(name: &str, description: &str, schema: ObjectBuilder) -> Parameter {
    optional(name, ParameterIn::Query, description, schema)
}

fn optional(name: &str, place: ParameterIn, description: &str, schema: ObjectBuilder) -> Parameter {
    let schema: RefOr<Schema> = schema.into();
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}

fn integer() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}
