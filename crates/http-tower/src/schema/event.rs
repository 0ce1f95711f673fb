//! The JSON schema of an event. These types exist for their schemas only: `keywright_core`
//! serialises events.

use utoipa::{
    ToSchema,
    openapi::{
        Ref, Schema,
        schema::{ArrayBuilder, ArrayItems, ObjectBuilder, SchemaType, Type},
    },
};

use super::{
    ApiKeyAddress, ApiKeyEnvironment, ApiKeyId, ApiKeyOwner, ApiKeyPermission, ApiKeyTime, text,
};

/// A change of a key: who changed which key, when, and how. It contains no secret and no hash.
#[derive(ToSchema)]
#[schema(as = ApiKeyEvent)]
#[expect(dead_code, reason = "used for its schema only")]
pub(crate) struct EventSchema {
    /// The id of the event, which begins with the time of the change.
    #[schema(
        min_length = 20,
        max_length = 20,
        pattern = "^evt_[0-9A-Za-z]{16}$",
        examples("evt_0U5lKtf600000000")
    )]
    id: String,
    #[schema(schema_with = event_type)]
    r#type: (),
    created_at: ApiKeyTime,
    /// The workspace of the key.
    workspace: String,
    environment: ApiKeyEnvironment,
    /// The key that was changed. A revocation with `cascade` names the key of the request.
    key_id: ApiKeyId,
    /// The owner of the key. Absent if the key has none.
    #[schema(required = false)]
    owner: ApiKeyOwner,
    actor: ActorSchema,
    /// The `X-Request-Id` of the request that made the change. Absent if no request made it.
    #[schema(
        required = false,
        min_length = 1,
        max_length = 40,
        pattern = "^[A-Za-z0-9._-]{1,40}$"
    )]
    request_id: String,
    /// The address of the client that made the request. Absent if it is unknown.
    #[schema(required = false, min_length = 2, max_length = 45)]
    client_ip: String,
    /// Absent if no field of the key changed.
    #[schema(required = false)]
    changes: ChangesSchema,
    /// The successor, in an event of the type `api_key.rotated`.
    #[schema(required = false)]
    successor_id: ApiKeyId,
    /// Whether the descendants were revoked as well, in an event of the type `api_key.revoked`.
    #[schema(required = false)]
    cascade: bool,
    /// The number of keys that were revoked, in an event of the type `api_key.revoked`. Absent
    /// while a cascade is running, and if it was interrupted.
    #[schema(required = false)]
    count: u64,
}

/// The party that made a change.
#[derive(ToSchema)]
#[schema(as = ApiKeyEventActor)]
#[expect(dead_code, reason = "used for its schema only")]
pub(crate) struct ActorSchema {
    #[schema(schema_with = actor_type)]
    r#type: (),
    /// The key, if the actor is a key.
    #[schema(required = false)]
    id: ApiKeyId,
    /// The owner of the key or of the host's caller. Absent if there is none.
    #[schema(required = false)]
    owner: ApiKeyOwner,
}

/// The fields of the key that changed, with their values before and after the change. `null` stands
/// for no value, such as the expiry of a key that never expires.
#[derive(ToSchema)]
#[schema(as = ApiKeyEventChanges)]
#[expect(dead_code, reason = "used for its schema only")]
pub(crate) struct ChangesSchema {
    #[schema(required = false, schema_with = names)]
    name: (),
    #[schema(required = false, schema_with = permissions)]
    permissions: (),
    #[schema(required = false, schema_with = switches)]
    enabled: (),
    #[schema(required = false, schema_with = times)]
    expires_at: (),
    #[schema(required = false, schema_with = times)]
    revoked_at: (),
    #[schema(required = false, schema_with = addresses)]
    allowed_ips: (),
    #[schema(required = false, schema_with = changed)]
    metadata: (),
    #[schema(required = false, schema_with = changed)]
    attributes: (),
}

fn event_type() -> Schema {
    text("The kind of the change.")
        .enum_values(Some([
            "api_key.created",
            "api_key.updated",
            "api_key.rotated",
            "api_key.revoked",
        ]))
        .into()
}

fn actor_type() -> Schema {
    text(
        "`key`: an API key. `host`: a user or service that the host has authenticated itself. \
         `operator`: an operator, on the command line. `system`: the library, which creates the \
         first key.",
    )
    .enum_values(Some(["key", "host", "operator", "system"]))
    .into()
}

fn names() -> Schema {
    transition(nullable(Type::String))
}

fn times() -> Schema {
    transition(nullable(Type::String))
}

fn switches() -> Schema {
    transition(ObjectBuilder::new().schema_type(Type::Boolean))
}

fn permissions() -> Schema {
    transition(nullable_list::<ApiKeyPermission>())
}

fn addresses() -> Schema {
    transition(nullable_list::<ApiKeyAddress>())
}

fn changed() -> Schema {
    text("Always `changed`: an event does not contain the values.")
        .enum_values(Some(["changed"]))
        .into()
}

/// The values of a field before and after a change.
fn transition(value: impl Into<ArrayItems>) -> Schema {
    ArrayBuilder::new()
        .description(Some("The values before and after the change."))
        .items(value)
        .min_items(Some(2))
        .max_items(Some(2))
        .into()
}

fn nullable(value: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::from_iter([value, Type::Null]))
}

fn nullable_list<T: ToSchema>() -> ArrayBuilder {
    ArrayBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Array, Type::Null]))
        .items(Ref::from_schema_name(T::name()))
}
