//! The schemas of core's types, which `serde` writes as texts, lists and objects.

use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr, Schema,
        extensions::Extensions,
        schema::{ArrayBuilder, KnownFormat, Object, ObjectBuilder, SchemaFormat, Type},
    },
};

/// A type for each schema, so that derived schemas can name it where they hold core's type.
macro_rules! schemas {
    ($($type:ident = $schema:expr;)+) => {$(
        pub(crate) struct $type;

        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                $schema.into()
            }
        }

        impl ToSchema for $type {}
    )+};
}

schemas! {
    ApiKeyId = text("The public id of a key; keys created later have greater ids.")
        .pattern(Some("^key_[0-9A-Za-z]{16}$"))
        .min_length(Some(20))
        .max_length(Some(20))
        .examples(["key_0U5lKtf600000000"]);
    ApiKeyName = text(
        "What a key is called: 1 to 255 characters after white space around it is taken off; no \
         control characters.",
    )
        .pattern(Some(NAME))
        .min_length(Some(1))
        .max_length(Some(keywright_core::Name::MAX_LENGTH))
        .examples(["Production Server"]);
    ApiKeyEnvironment = text("Which of the two worlds a key opens.")
        .enum_values(Some(["live", "test"]));
    ApiKeyTime = text("A time in UTC, with milliseconds (RFC 3339).")
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .pattern(Some(r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$"))
        .examples(["2024-03-01T10:00:00.000Z"]);
    ApiKeyEnd = text("When a key is to end: a time in the future (RFC 3339).")
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .examples(["2999-01-01T00:00:00Z"]);
    ApiKeyPermission = text(
        "`*`, or 1 to 4 segments joined by `:`, of which the last may be `*`: `calls:*` covers \
         whatever begins with `calls:`.",
    )
        .pattern(Some(r"^(?:[a-z0-9_.-]{1,32}:){0,3}(?:[a-z0-9_.-]{1,32}|\*)$"))
        .min_length(Some(1))
        .max_length(Some(keywright_core::Permission::MAX_LENGTH))
        .examples(["calls:read"]);
    ApiKeyPermissions = ArrayBuilder::new()
        .description(Some("What a key may do; none of it, and it may do nothing."))
        .items(utoipa::openapi::Ref::from_schema_name(ApiKeyPermission::name()))
        .max_items(Some(keywright_core::Permissions::MAX_COUNT))
        .build();
    ApiKeyMetadata = ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("An object of your own, at most 4 KiB when serialised."))
        .additional_properties(Some(
            utoipa::openapi::schema::AdditionalProperties::<Schema>::FreeForm(true),
        ))
        .examples([json!({"team": "billing"})])
        .build();
}

/// No control characters, and something that is not white space.
const NAME: &str = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$";

fn text(description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
}

/// `valid` of a token that opens something.
pub(crate) fn yes() -> Object {
    always(true)
}

/// `valid` of a token that opens nothing.
pub(crate) fn no() -> Object {
    always(false)
}

fn always(value: bool) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Boolean)
        .enum_values(Some([value]))
        .build()
}

/// `utoipa` has no word for some of OpenAPI's; as an extension it writes any.
pub(super) fn words<const N: usize>(
    words: [(&'static str, serde_json::Value); N],
) -> Option<Extensions> {
    Some(words.into_iter().collect())
}
