//! The document of [`ForwardAuth`](crate::ForwardAuth).

use http::HeaderName;
use utoipa::openapi::{
    ComponentsBuilder, HttpMethod, InfoBuilder, OpenApi, OpenApiBuilder, PathsBuilder,
};

use super::{
    add, operations, operations::TAG, path, security::Schemes, with_responses, with_schemes,
};
use crate::{
    error::{Envelope, Problem},
    schema::ApiKeyPermission,
};

/// Returns the document of a service at `at` that reads tokens from one of these headers.
pub(crate) fn document(at: &str, token_headers: &[&HeaderName]) -> OpenApi {
    let schemes = Schemes::new(token_headers);
    let mut schemas = Vec::new();
    add::<ApiKeyPermission>(&mut schemas);
    add::<Envelope<'_>>(&mut schemas);
    add::<Problem<'_>>(&mut schemas);
    let components = ComponentsBuilder::new().schemas_from_iter(schemas);
    let components = with_schemes(components, schemes);
    let components = with_responses(components, &operations::GENERAL);
    let operation = operations::authorize_request(schemes);
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title(TAG)
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some("Decide for a proxy whether a request may pass."))
                .build(),
        )
        .paths(PathsBuilder::new().path(at, path([(HttpMethod::Get, operation)])))
        .components(Some(components.build()))
        .build()
}
