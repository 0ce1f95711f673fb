//! `GET /openapi.json`: the OpenAPI document of the server.

use std::sync::Arc;

use anyhow::{Context, Result};
use axum::{Extension, body::Bytes, response::IntoResponse};
use http::header::CONTENT_TYPE;
use keywright_core::{Config, Keywright, MemoryStore, Prefix};
use keywright_http_tower::{ApiKeys, AuthLayer, ForwardAuth};
use utoipa::{
    OpenApi as _,
    openapi::{ContentBuilder, InfoBuilder, OpenApi, PathItem, Ref, ResponseBuilder},
};

use crate::{
    health, metrics, output,
    router::{BASE, FORWARD_AUTH},
    whoami,
};

/// The routes that the server adds to the library's.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    whoami::whoami,
    health::healthz,
    health::readyz,
    metrics::metrics,
    openapi_json
))]
struct ServerRoutes;

/// The errors of these routes, defined by the library: path, status and response.
const ERRORS: [(&str, &str, &str); 6] = [
    ("/v1/whoami", "400", "ApiKeyInvalid"),
    ("/v1/whoami", "401", "ApiKeyUnauthorized"),
    ("/v1/whoami", "403", "ApiKeyForbidden"),
    ("/v1/whoami", "500", "ApiKeyInternal"),
    ("/v1/whoami", "503", "ApiKeyUnavailable"),
    ("/readyz", "503", "ApiKeyUnavailable"),
];

/// The routes that can have a separate address.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// The error of any route after the request timeout.
const TIMEOUT: &str = "RequestTimeout";

/// The document as JSON.
#[derive(Clone)]
pub(crate) struct Document(Bytes);

impl Document {
    /// Merges the documents of the library's services with the other routes. With
    /// `separate_probes`, the probes have another address, and the document leaves them out.
    pub(crate) fn of(
        endpoints: &ApiKeys,
        forward_auth: &ForwardAuth,
        separate_probes: bool,
    ) -> Result<Self> {
        let mut document = endpoints.openapi();
        document.merge(forward_auth.openapi(FORWARD_AUTH));
        document.info = InfoBuilder::new()
            .title("Keywright")
            .version(env!("CARGO_PKG_VERSION"))
            .description(Some(env!("CARGO_PKG_DESCRIPTION")))
            .build();
        let mut server = ServerRoutes::openapi();
        set_security(&mut server, &document);
        document.merge(server);
        if separate_probes {
            let paths = &mut document.paths.paths;
            paths.retain(|path, _| !PROBES.contains(&path.as_str()));
        }
        add_errors(&mut document);
        let json = document.to_json();
        let json = json.context("could not serialise the OpenAPI document")?;
        Ok(Self(json.into()))
    }
}

/// Gives each route of the server that needs a key the security of the library's endpoints. Its
/// schemes depend on the headers that the server reads.
fn set_security(server: &mut OpenApi, library: &OpenApi) {
    let of_any_key = library
        .paths
        .paths
        .iter()
        .find(|(path, _)| path.ends_with("/self"))
        .and_then(|(_, item)| item.get.as_ref()?.security.clone());
    for item in server.paths.paths.values_mut() {
        let operations = item.get.iter_mut().filter(|get| get.security.is_some());
        operations.for_each(|get| get.security.clone_from(&of_any_key));
    }
}

/// Prints the document of a server with the default options.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn print() -> Result<()> {
    let config = Config::new(Prefix::parse("sk")?);
    let keys = Keywright::open(config, Arc::new(MemoryStore::new())).await?;
    let endpoints = ApiKeys::at(&keys, BASE);
    let forward_auth = ForwardAuth::new(AuthLayer::new(keys.verifier().clone()));
    let Document(json) = Document::of(&endpoints, &forward_auth, false)?;
    output::lines(&format!("{}\n", str::from_utf8(&json)?))
}

fn add_errors(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let errors = ERRORS.iter().filter(|(route, _, _)| route == path);
        let errors: Vec<_> = errors.map(|(_, status, name)| (*status, *name)).collect();
        let PathItem {
            get,
            post,
            patch,
            delete,
            ..
        } = item;
        for operation in [get, post, patch, delete].into_iter().flatten() {
            for (status, name) in errors.iter().copied().chain([("408", TIMEOUT)]) {
                let error = Ref::from_response_name(name).into();
                let responses = &mut operation.responses.responses;
                responses.insert(status.to_owned(), error);
            }
        }
    }
    let error = ContentBuilder::new().schema(Some(Ref::from_schema_name("ApiKeyError")));
    let timeout = ResponseBuilder::new()
        .description("The request took too long.")
        .content("application/json", error.build());
    if let Some(components) = &mut document.components {
        let responses = &mut components.responses;
        responses.insert(TIMEOUT.to_owned(), timeout.build().into());
    }
}

/// Get this document
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "openapi",
    tag = "Server",
    responses((
        status = 200,
        description = "An OpenAPI 3.1 document.",
        content_type = "application/json",
        body = Object,
    )),
)]
pub(crate) async fn openapi_json(
    Extension(Document(json)): Extension<Document>,
) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], json)
}
