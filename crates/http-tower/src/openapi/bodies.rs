//! What the bodies of requests hold. The endpoints read bodies member by member, to tell all that
//! is wrong with them; a test holds these types against the members that are read.

use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{ObjectBuilder, OneOfBuilder, Type},
    },
};

use super::text::{
    ApiKeyEnd, ApiKeyEnvironment, ApiKeyMetadata, ApiKeyName, ApiKeyPermissions, words,
};

/// The key that is asked for. `expires_at` cannot be given where `expire_now` is `true`.
#[derive(ToSchema)]
#[schema(as = ApiKeyToCreate)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "for its schema alone")]
struct CreateFields {
    name: ApiKeyName,
    /// Whether the key is created already expired.
    #[schema(required = false, default = false)]
    expire_now: bool,
    /// When the key ends; left out, when the caller's key does. It cannot be later than that.
    #[schema(required = false)]
    expires_at: ApiKeyEnd,
    /// What the key may do; left out, what the caller may, which must cover each.
    #[schema(required = false)]
    permissions: ApiKeyPermissions,
    /// Left out, the caller's.
    #[schema(required = false)]
    environment: ApiKeyEnvironment,
    #[schema(required = false)]
    metadata: ApiKeyMetadata,
}

/// `POST /`.
pub(super) struct ApiKeyToCreate;

impl PartialSchema for ApiKeyToCreate {
    fn schema() -> RefOr<Schema> {
        let mut schema = CreateFields::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            let both = json!({
                "properties": {"expire_now": {"const": true}},
                "required": ["expire_now", "expires_at"],
            });
            object.extensions = words([("not", both)]);
        }
        schema
    }
}

impl ToSchema for ApiKeyToCreate {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        CreateFields::schemas(schemas);
    }
}

/// What is to change; what is left out stays.
#[derive(ToSchema)]
#[schema(as = ApiKeyChange, min_properties = 1)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "for its schema alone")]
pub(super) struct Change {
    #[schema(required = false)]
    name: ApiKeyName,
    /// Replaces the metadata that there is, whole.
    #[schema(required = false)]
    metadata: ApiKeyMetadata,
}

/// How a key is to be rotated.
#[derive(ToSchema)]
#[schema(as = ApiKeyRotation)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "for its schema alone")]
pub(super) struct Rotation {
    /// For how long the old key still works: `now`, `24h`, or seconds; `now` and 0 revoke it.
    #[schema(required = false, schema_with = overlap)]
    expire_previous: String,
    /// When the successor ends; left out, it gets the lifetime that the old key had, from now. It
    /// cannot be later than the caller's own.
    #[schema(required = false)]
    expires_at: ApiKeyEnd,
}

fn overlap() -> Schema {
    let named = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(["now", "24h"]));
    let seconds = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(0))
        .maximum(Some(keywright_core::NewRotation::MAX_OVERLAP.as_secs()));
    OneOfBuilder::new()
        .description(Some(
            "For how long the old key still works: `now`, `24h`, or seconds; `now` and 0 revoke it.",
        ))
        .default(Some(json!("24h")))
        .item(named)
        .item(seconds)
        .into()
}

/// A token that somebody has presented.
#[derive(ToSchema)]
#[schema(as = ApiKeyToVerify)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "for its schema alone")]
pub(super) struct Presented {
    /// The whole token.
    #[schema(examples("sk_live_0U5lKtf600000000_…032Ts3u"))]
    key: String,
}
