//! `GET /openapi.json`: the OpenAPI document of the server.

use anyhow::{Context, Result};
use axum::{Extension, body::Bytes, response::IntoResponse};
use http::header::CONTENT_TYPE;
use keywright_http_tower::ApiKeys;
use utoipa::{
    OpenApi as _,
    openapi::{ContentBuilder, InfoBuilder, OpenApi, PathItem, Ref, ResponseBuilder},
};

use crate::{health, metrics, output, router, whoami};

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
    /// Merges the document of the library's endpoints with the other routes. With
    /// `separate_probes`, the probes have another address, and the document leaves them out.
    pub(crate) fn of(endpoints: &ApiKeys, separate_probes: bool) -> Result<Self> {
        Self::complete(endpoints.openapi(), separate_probes)
    }

    /// Adds the other routes to the document of the library's endpoints.
    fn complete(mut document: OpenApi, separate_probes: bool) -> Result<Self> {
        document.info = InfoBuilder::new()
            .title("Keywright")
            .version(env!("CARGO_PKG_VERSION"))
            .description(Some(env!("CARGO_PKG_DESCRIPTION")))
            .build();
        document.merge(ServerRoutes::openapi());
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

/// Prints the document of a server with the default options.
pub(crate) fn print() -> Result<()> {
    let endpoints = keywright_http_tower::openapi(router::BASE);
    let Document(json) = Document::complete(endpoints, false)?;
    output::lines(&format!("{}\n", std::str::from_utf8(&json)?))
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
