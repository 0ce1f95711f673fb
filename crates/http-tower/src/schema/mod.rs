//! The JSON schemas of the types of `keywright_core`.

mod event;

use keywright_core::Status;
use serde_json::{Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Ref, RefOr, Schema,
        extensions::Extensions,
        schema::{
            AdditionalProperties, ArrayBuilder, KnownFormat, ObjectBuilder, SchemaFormat, Type,
        },
    },
};

pub(crate) use self::event::EventSchema;

/// Defines a type for each schema. A derived schema names it as the type of a field.
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
    ApiKeyId = text("The public id of a key. A key that was created later has a greater id.")
        .pattern(Some("^key_[0-9A-Za-z]{16}$"))
        .min_length(Some(20))
        .max_length(Some(20))
        .examples(["key_0U5lKtf600000000"]);
    ApiKeyName = text(
        "The name of a key: 1 to 255 characters after surrounding white space is removed, without \
         control characters, and with at least one visible character: a letter, digit, punctuation \
         mark, symbol or emoji.",
    )
        .pattern(Some(NAME))
        .min_length(Some(1))
        .max_length(Some(keywright_core::Name::MAX_LENGTH))
        .examples(["Production Server"]);
    ApiKeyEnvironment = text("The environment of a key.")
        .enum_values(Some(["live", "test"]));
    ApiKeyOwner = text("The person or service that a key belongs to.")
        .pattern(Some("^[!-~]+$"))
        .min_length(Some(1))
        .max_length(Some(keywright_core::Owner::MAX_LENGTH))
        .examples(["user:42"]);
    ApiKeyAddress = text("An IP address, or a CIDR prefix without bits after its length.")
        .min_length(Some(2))
        .max_length(Some(MAX_ADDRESS_LENGTH))
        .examples(["192.0.2.0/24"]);
    ApiKeyAddresses = ArrayBuilder::new()
        .description(Some("The addresses from which a key may be used."))
        .items(Ref::from_schema_name(ApiKeyAddress::name()))
        .min_items(Some(1))
        .max_items(Some(keywright_core::AllowedIps::MAX_COUNT))
        .build();
    ApiKeyTime = text("A time in UTC, with milliseconds (RFC 3339).")
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .pattern(Some(r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$"))
        .examples(["2024-03-01T10:00:00.000Z"]);
    ApiKeyEnd = text("The time at which a key expires: a time in the future (RFC 3339).")
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .examples(["2999-01-01T00:00:00Z"]);
    ApiKeyPermission = text(
        "`*`, or 1 to 4 segments that are joined by `:`. The last segment may be `*`: `calls:*` \
         covers every permission that begins with `calls:`.",
    )
        .pattern(Some(r"^(?:[a-z0-9_.-]{1,32}:){0,3}(?:[a-z0-9_.-]{1,32}|\*)$"))
        .min_length(Some(1))
        .max_length(Some(keywright_core::Permission::MAX_LENGTH))
        .examples(["calls:read"]);
    ApiKeyPermissions = ArrayBuilder::new()
        .description(Some("The permissions of a key. A key with an empty list has none."))
        .items(Ref::from_schema_name(ApiKeyPermission::name()))
        .max_items(Some(keywright_core::Permissions::MAX_COUNT))
        .build();
    ApiKeyMetadata = ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("An object with your own data, at most 4 KiB of JSON."))
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(true)))
        .examples([json!({"team": "billing"})])
        .build();
}

/// The length of the longest text of a prefix: an IPv6 address that ends in an IPv4 address, and
/// the length of the prefix.
const MAX_ADDRESS_LENGTH: usize = "0000:0000:0000:0000:0000:ffff:255.255.255.255/128".len();

/// Matches a name without control characters and with at least one character that is not white
/// space. The pattern accepts more names than the endpoints, because the regular expressions of
/// many clients do not support the Unicode categories that define a visible character.
const NAME: &str = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$";

/// The status of a key. It has no name, because OpenAPI Generator writes a Go constant for each
/// value of a named `enum`, and `ApiKeyNotValidReason` has some of the same values.
pub(crate) fn status() -> Schema {
    text("Whether the key is accepted, or why it is rejected.")
        .enum_values(Some(Status::ALL.map(Status::as_str)))
        .into()
}

fn text(description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
}

/// Keywords that the builders of `utoipa` lack. It writes extensions as they are, so this passes
/// the keywords as extensions.
pub(crate) fn keywords<const N: usize>(keywords: [(&'static str, Value); N]) -> Option<Extensions> {
    Some(keywords.into_iter().collect())
}
