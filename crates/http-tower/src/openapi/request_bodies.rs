//! The bodies of requests. These types exist for their schemas only: the endpoints read a body
//! field by field, so that they can report all errors at once. `api/openapi_test.rs` compares the
//! two.

use utoipa::{
    ToSchema,
    openapi::{
        Ref, Schema,
        schema::{ObjectBuilder, OneOfBuilder, Type},
    },
};

use crate::schema::{
    ApiKeyAddresses, ApiKeyEnd, ApiKeyEnvironment, ApiKeyMetadata, ApiKeyName, ApiKeyPermission,
    ApiKeyPermissions,
};

/// A key to create. `expires_at` cannot be given if `expire_now` is `true`.
#[derive(ToSchema)]
#[schema(as = ApiKeyToCreate)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "used for its schema only")]
pub(super) struct Creation {
    name: ApiKeyName,
    /// Whether the key is already expired when it is created. The default is `false`.
    #[schema(required = false)]
    expire_now: bool,
    /// The time at which the key expires. It cannot be later than the expiry of the caller's key,
    /// which is the default.
    #[schema(required = false)]
    expires_at: ApiKeyEnd,
    /// The permissions of the key. The caller's permissions must cover each of them, and are the
    /// default.
    #[schema(required = false)]
    permissions: ApiKeyPermissions,
    /// The environment of the key. The default is that of the caller.
    #[schema(required = false)]
    environment: ApiKeyEnvironment,
    #[schema(required = false)]
    metadata: ApiKeyMetadata,
    /// The addresses from which the key may be used. They must lie within those from which the
    /// caller may be used, which are the default.
    #[schema(required = false)]
    allowed_ips: ApiKeyAddresses,
}

/// The changes to a key. A field that is left out does not change.
#[derive(ToSchema)]
#[schema(as = ApiKeyChange, min_properties = 1)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "used for its schema only")]
pub(super) struct Change {
    #[schema(required = false)]
    name: ApiKeyName,
    /// The new permissions, which replace all old permissions. The caller's permissions must cover
    /// each of them.
    #[schema(required = false)]
    permissions: ApiKeyPermissions,
    #[schema(required = false, schema_with = metadata_change)]
    metadata: (),
    /// `false` pauses the key, and `true` resumes it.
    #[schema(required = false)]
    enabled: bool,
    #[schema(required = false, schema_with = expiry_change)]
    expires_at: (),
    #[schema(required = false, schema_with = addresses_change)]
    allowed_ips: (),
}

fn metadata_change() -> Schema {
    nullable::<ApiKeyMetadata>(
        "The new metadata, which replaces all old metadata, or `null` to remove it.",
    )
}

fn expiry_change() -> Schema {
    nullable::<ApiKeyEnd>(
        "The time at which the key expires, or `null` for the latest time that the caller's \
         expiry and the maximum lifetime allow, or never if there is neither.",
    )
}

fn addresses_change() -> Schema {
    nullable::<ApiKeyAddresses>(
        "The addresses from which the key may be used, or `null` for those of the caller.",
    )
}

/// A schema that accepts `null` as well.
fn nullable<T: ToSchema>(description: &str) -> Schema {
    let mut schema = Ref::from_schema_name(T::name());
    description.clone_into(&mut schema.description);
    OneOfBuilder::new()
        .item(schema)
        .item(ObjectBuilder::new().schema_type(Type::Null))
        .into()
}

/// The options of a rotation.
#[derive(ToSchema)]
#[schema(as = ApiKeyRotation)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "used for its schema only")]
pub(super) struct Rotation {
    #[schema(required = false, schema_with = overlap)]
    expire_previous: String,
    /// The time at which the successor expires. It cannot be later than the expiry of the caller's
    /// key. By default the successor has the lifetime of the old key, counted from now.
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
            "How long the old key remains valid: `now`, `24h` (the default), or a number of seconds. \
             `now` and 0 revoke it at once.",
        ))
        .item(named)
        .item(seconds)
        .into()
}

/// A token to verify.
#[derive(ToSchema)]
#[schema(as = ApiKeyToVerify)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "used for its schema only")]
pub(super) struct Presented {
    /// The whole token.
    #[schema(examples("sk_live_0U5lKtf600000000_…032Ts3u"))]
    key: String,
    /// The permission that the key must have. By default none is required.
    #[schema(required = false)]
    permission: ApiKeyPermission,
    /// The IP address from which the token was used. A key that is restricted to addresses is not
    /// valid without it.
    #[schema(
        required = false,
        min_length = 2,
        max_length = 45,
        examples("192.0.2.7")
    )]
    client_ip: String,
}
