//! The OpenAPI document of the endpoints, generated from the types that the responses serialise.

mod errors;
mod examples;
mod forward_auth;
mod headers;
mod operations;
mod parameters;
mod request_bodies;
mod security;

use http::{HeaderName, header};
use utoipa::{
    ToSchema,
    openapi::{
        Components, ComponentsBuilder, HttpMethod, InfoBuilder, OpenApi, OpenApiBuilder, PathItem,
        PathsBuilder, RefOr, Schema,
        path::{Operation, PathItemBuilder},
        tag::TagBuilder,
    },
};

pub(crate) use self::forward_auth::document as forward_auth;
use self::{
    errors::ErrorResponse,
    operations::TAG,
    request_bodies::{Change, Creation, Presented, Rotation},
    security::Schemes,
};
use crate::{
    error::{Envelope, Problem},
    schema::{ApiKeyAddress, ApiKeyId, ApiKeyPermission},
    views::{
        EventPageView, IssuedView, KeyPageView, KeyView, ReportView, RevocationView, Validity,
    },
};

/// Returns the OpenAPI 3.1 document of [`ApiKeys`](crate::ApiKeys) at the path `base`, with the
/// bearer scheme. [`ApiKeys::openapi`](crate::ApiKeys::openapi) returns the document of a
/// configured service.
///
/// A host serves the document as JSON, or merges it into the document of its own routes. Every
/// schema, response and operation has `ApiKey` in its name. The security scheme is `api_key`, which
/// a host can require for its own routes behind [`AuthLayer`](crate::AuthLayer).
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
    document(base, &[&header::AUTHORIZATION])
}

/// Returns the document of a service that reads tokens from one of these headers.
pub(crate) fn document(base: &str, token_headers: &[&HeaderName]) -> OpenApi {
    let schemes = Schemes::new(token_headers);
    let base = base.trim_end_matches('/');
    let keys = if base.is_empty() { "/" } else { base };
    let paths = PathsBuilder::new()
        .path(
            keys,
            path([
                (HttpMethod::Get, operations::list(schemes)),
                (HttpMethod::Post, operations::create(schemes)),
            ]),
        )
        .path(
            format!("{base}/{{id}}"),
            path_with_id([
                (HttpMethod::Get, operations::get(schemes)),
                (HttpMethod::Patch, operations::update(schemes)),
                (HttpMethod::Delete, operations::revoke(schemes)),
            ]),
        )
        .path(
            format!("{base}/{{id}}/rotate"),
            path_with_id([(HttpMethod::Post, operations::rotate(schemes))]),
        )
        .path(
            format!("{base}/events"),
            path([(HttpMethod::Get, operations::events(schemes))]),
        )
        .path(
            format!("{base}/report"),
            path([(HttpMethod::Get, operations::report(schemes))]),
        )
        .path(
            format!("{base}/self"),
            path([
                (HttpMethod::Get, operations::get_own(schemes)),
                (HttpMethod::Delete, operations::revoke_own(schemes)),
            ]),
        )
        .path(
            format!("{base}/self/rotate"),
            path([(HttpMethod::Post, operations::rotate_own(schemes))]),
        )
        .path(
            format!("{base}/verify"),
            path([(HttpMethod::Post, operations::verify(schemes))]),
        );
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title(TAG)
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(
                    "Create, list, update, revoke, rotate and verify API keys, and list the events \
                     of these changes.",
                ))
                .build(),
        )
        .paths(paths)
        .components(Some(components(schemes)))
        .tags(Some([TagBuilder::new().name(TAG).build()]))
        .build()
}

type Operations<const N: usize> = [(HttpMethod, Operation); N];

fn path<const N: usize>(operations: Operations<N>) -> PathItem {
    with_operations(PathItemBuilder::new(), operations)
}

fn path_with_id<const N: usize>(operations: Operations<N>) -> PathItem {
    let path = PathItemBuilder::new().parameters(Some([parameters::id()]));
    with_operations(path, operations)
}

fn with_operations<const N: usize>(path: PathItemBuilder, operations: Operations<N>) -> PathItem {
    operations
        .into_iter()
        .fold(path, |path, (method, operation)| {
            path.operation(method, operation)
        })
        .build()
}

fn components(schemes: Schemes<'_>) -> Components {
    let mut schemas = Vec::new();
    add::<IssuedView<'_>>(&mut schemas);
    add::<KeyView<'_>>(&mut schemas);
    add::<KeyPageView<'_>>(&mut schemas);
    add::<EventPageView<'_>>(&mut schemas);
    add::<ReportView<'_>>(&mut schemas);
    add::<RevocationView>(&mut schemas);
    add::<Validity<'_>>(&mut schemas);
    add::<Envelope<'_>>(&mut schemas);
    add::<Problem<'_>>(&mut schemas);
    add::<Creation>(&mut schemas);
    add::<Change>(&mut schemas);
    add::<Rotation>(&mut schemas);
    add::<Presented>(&mut schemas);
    add::<ApiKeyId>(&mut schemas);
    add::<ApiKeyPermission>(&mut schemas);
    add::<ApiKeyAddress>(&mut schemas);
    let components = ComponentsBuilder::new().schemas_from_iter(schemas);
    let components = with_schemes(components, schemes);
    with_responses(components, ErrorResponse::ALL).build()
}

fn with_schemes(components: ComponentsBuilder, schemes: Schemes<'_>) -> ComponentsBuilder {
    schemes
        .iter()
        .fold(components, |components, (name, scheme)| {
            components.security_scheme(name, scheme)
        })
}

fn with_responses(components: ComponentsBuilder, errors: &[ErrorResponse]) -> ComponentsBuilder {
    errors.iter().fold(components, |components, error| {
        components.response(error.name, error.response())
    })
}

/// Adds a schema and those that it refers to.
fn add<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((T::name().into(), T::schema()));
    T::schemas(schemas);
}
