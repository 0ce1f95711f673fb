//! The parameters of paths, queries and headers.

use keywright_core::{IdempotencyKey, ListEvents, ListKeys, Owner, Status};
use utoipa::{
    ToSchema,
    openapi::{
        Ref, RefOr, Required, Schema,
        path::{Parameter, ParameterBuilder, ParameterIn},
        schema::{ArrayBuilder, ObjectBuilder, Type},
    },
};

use crate::{
    bounds::{MAX_QUERY_PARAMETERS, MAX_SEARCH_LENGTH},
    schema::{ApiKeyId, ApiKeyPermission},
};

/// `{id}`.
pub(super) fn id() -> Parameter {
    ParameterBuilder::new()
        .name("id")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(Ref::from_schema_name(ApiKeyId::name())))
        .build()
}

/// The query of a list.
pub(super) fn list() -> [Parameter; 7] {
    [
        query(
            "page",
            "The number of the page. The default is 1. Cannot be combined with `cursor`.",
            integer().maximum(Some(u32::MAX)),
        ),
        query(
            "limit",
            &format!(
                "The maximum number of keys on the page. The default is {}.",
                ListKeys::DEFAULT_LIMIT
            ),
            integer().maximum(Some(ListKeys::MAX_LIMIT)),
        ),
        query(
            "search",
            "Only keys whose name contains this text. Ignores case and Unicode normalisation.",
            string().max_length(Some(MAX_SEARCH_LENGTH)),
        ),
        query(
            "status",
            "Only keys with this status.",
            string().enum_values(Some(Status::ALL.map(Status::as_str))),
        ),
        query("owner", "Only keys of this owner.", owner()),
        query(
            "imported",
            "Whether to return only keys that were imported from another system. The default is \
             `false`, which returns all keys.",
            ObjectBuilder::new().schema_type(Type::Boolean),
        ),
        query(
            "cursor",
            "The `nextCursor` of an earlier page with the same `search`, `status`, \
             `owner` and `imported`. Cannot be combined with `page`.",
            string().min_length(Some(1)),
        ),
    ]
}

/// The query of a list of events.
pub(super) fn events() -> [Parameter; 4] {
    [
        query_by_ref::<ApiKeyId>("key_id", "Only events of this key."),
        query("owner", "Only events of keys of this owner.", owner()),
        query(
            "limit",
            &format!(
                "The maximum number of events on the page. The default is {}.",
                ListEvents::DEFAULT_LIMIT
            ),
            integer().maximum(Some(ListEvents::MAX_LIMIT)),
        ),
        query(
            "cursor",
            "The `nextCursor` of an earlier page with the same `key_id` and `owner`.",
            string().min_length(Some(1)),
        ),
    ]
}

/// The `?cursor=` of a report.
pub(super) fn report_cursor() -> Parameter {
    query(
        "cursor",
        "The `nextCursor` of an earlier report, which this one continues.",
        string().min_length(Some(1)),
    )
}

/// `?cascade=`.
pub(super) fn cascade() -> Parameter {
    query(
        "cascade",
        "Whether to also revoke all descendants of the key, at any depth: the keys that it created, \
         its successors, and the keys that it received by rotating others. The default is `false`.",
        ObjectBuilder::new().schema_type(Type::Boolean),
    )
}

/// `?permission=`, which may be repeated.
pub(super) fn required_permissions() -> Parameter {
    let permissions = ArrayBuilder::new()
        .items(Ref::from_schema_name(ApiKeyPermission::name()))
        .max_items(Some(MAX_QUERY_PARAMETERS));
    optional(
        "permission",
        ParameterIn::Query,
        "The permissions that the key needs. The default is none: any valid key passes.",
        Schema::Array(permissions.build()),
    )
}

/// `If-Match`. The endpoint accepts more: a list, weak tags and `*`.
pub(super) fn if_match() -> Parameter {
    optional(
        "If-Match",
        ParameterIn::Header,
        "The `ETag` of a response about the key. The server changes the key only if it still \
         has this version. Without this header, it changes any version.",
        string().pattern(Some(r#"^"[0-9]+"$"#)),
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
        "Identifies the request. A repeat within 24 hours with the same body changes nothing: its \
         response contains the key without its token.",
        schema,
    )
}

fn query_by_ref<T: ToSchema>(name: &str, description: &str) -> Parameter {
    let schema = Ref::from_schema_name(T::name());
    optional(name, ParameterIn::Query, description, schema)
}

fn query(name: &str, description: &str, schema: ObjectBuilder) -> Parameter {
    optional(name, ParameterIn::Query, description, schema)
}

fn optional(
    name: &str,
    location: ParameterIn,
    description: &str,
    schema: impl Into<RefOr<Schema>>,
) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(location)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema.into()))
        .build()
}

fn owner() -> ObjectBuilder {
    string()
        .pattern(Some("^[!-~]+$"))
        .min_length(Some(1))
        .max_length(Some(Owner::MAX_LENGTH))
}

fn integer() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}
