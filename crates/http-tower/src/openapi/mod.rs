//! The OpenAPI document of the endpoints, made of the types that the answers are made of.

mod bodies;
mod examples;
mod failures;
mod headers;
mod operations;
mod parameters;
mod text;

use http::{HeaderName, header};
use utoipa::{
    ToSchema,
    openapi::{
        Components, ComponentsBuilder, HttpMethod, InfoBuilder, OpenApi, OpenApiBuilder, PathItem,
        PathsBuilder, RefOr, Schema,
        path::PathItemBuilder,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
        tag::TagBuilder,
    },
};

pub(crate) use self::text::{
    ApiKeyEnvironment, ApiKeyId, ApiKeyMetadata, ApiKeyName, ApiKeyPermissions, ApiKeyTime, no, yes,
};
use self::{
    bodies::{ApiKeyToCreate, Change, Presented, Rotation},
    failures::Failure,
};
use crate::{
    api::{Created, Revoked},
    error::{Envelope, Problem},
    item::Item,
    page::PageOfItems,
    worth::Verdict,
};

/// What the security scheme is called.
const SECURITY: &str = "api_key";

const TAG: &str = "API keys";

/// The OpenAPI 3.1 document of [`ApiKeys`](crate::ApiKeys) at the path `base`, with the bearer
/// scheme; [`ApiKeys::openapi`](crate::ApiKeys::openapi) is that of a service as it was set up.
///
/// A host serves it as JSON, or merges it into the document of its own routes. All that it names
/// (schemas, responses, operations) has `ApiKey` in its name, and the security scheme is called
/// `api_key`: a host can demand it for its own routes behind [`AuthLayer`](crate::AuthLayer).
///
/// ```
/// # fn own() -> utoipa::openapi::OpenApi { utoipa::openapi::OpenApi::default() }
/// let mut document: utoipa::openapi::OpenApi = own();
/// document.merge(keywright_http_tower::openapi("/v1/api-keys"));
/// assert!(document.paths.paths.contains_key("/v1/api-keys/{id}/rotate"));
/// let json = serde_json::to_string(&document)?;
/// # Ok::<(), serde_json::Error>(())
/// ```
#[must_use]
pub fn openapi(base: &str) -> OpenApi {
    document(base, &header::AUTHORIZATION)
}

/// The document of a service that reads tokens from this header.
pub(crate) fn document(base: &str, token_header: &HeaderName) -> OpenApi {
    let base = base.trim_end_matches('/');
    let keys = if base.is_empty() { "/" } else { base };
    let paths = PathsBuilder::new()
        .path(
            keys,
            item([
                (HttpMethod::Get, operations::list()),
                (HttpMethod::Post, operations::create()),
            ]),
        )
        .path(
            format!("{base}/{{id}}"),
            of_one_key([
                (HttpMethod::Get, operations::find()),
                (HttpMethod::Patch, operations::rename()),
                (HttpMethod::Delete, operations::revoke()),
            ]),
        )
        .path(
            format!("{base}/{{id}}/rotate"),
            of_one_key([(HttpMethod::Post, operations::rotate())]),
        )
        .path(
            format!("{base}/verify"),
            item([(HttpMethod::Post, operations::verify())]),
        );
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title(TAG)
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(
                    "Create, list, rename, revoke, rotate and verify API keys.",
                ))
                .build(),
        )
        .paths(paths)
        .components(Some(components(token_header)))
        .tags(Some([TagBuilder::new().name(TAG).build()]))
        .build()
}

type Operations<const N: usize> = [(HttpMethod, utoipa::openapi::path::Operation); N];

fn item<const N: usize>(operations: Operations<N>) -> PathItem {
    with(PathItemBuilder::new(), operations)
}

fn of_one_key<const N: usize>(operations: Operations<N>) -> PathItem {
    let item = PathItemBuilder::new().parameters(Some([parameters::id()]));
    with(item, operations)
}

fn with<const N: usize>(item: PathItemBuilder, operations: Operations<N>) -> PathItem {
    operations
        .into_iter()
        .fold(item, |item, (method, operation)| {
            item.operation(method, operation)
        })
        .build()
}

fn components(token_header: &HeaderName) -> Components {
    let mut schemas = Vec::new();
    add::<Created<'_>>(&mut schemas);
    add::<Item<'_>>(&mut schemas);
    add::<PageOfItems<'_>>(&mut schemas);
    add::<Revoked>(&mut schemas);
    add::<Verdict<'_>>(&mut schemas);
    add::<Envelope<'_>>(&mut schemas);
    add::<Problem<'_>>(&mut schemas);
    add::<ApiKeyToCreate>(&mut schemas);
    add::<Change>(&mut schemas);
    add::<Rotation>(&mut schemas);
    add::<Presented>(&mut schemas);
    add::<ApiKeyId>(&mut schemas);
    add::<text::ApiKeyPermission>(&mut schemas);
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme(SECURITY, security_scheme(token_header));
    Failure::ALL
        .iter()
        .fold(components, |components, failure| {
            components.response(failure.name, failure.response())
        })
        .build()
}

/// Adds a schema and all that it refers to.
fn add<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((T::name().into(), T::schema()));
    T::schemas(schemas);
}

fn security_scheme(token_header: &HeaderName) -> SecurityScheme {
    if *token_header == header::AUTHORIZATION {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API key: `Authorization: Bearer <token>`."));
        SecurityScheme::Http(bearer.build())
    } else {
        let description = "An API key, the whole value of the header.";
        let value = ApiKeyValue::with_description(token_header.as_str(), description);
        SecurityScheme::ApiKey(ApiKey::Header(value))
    }
}
