//! `GET /openapi.json`: what this server answers, as an OpenAPI document.

use anyhow::{Context, Result};
use axum::{Extension, body::Bytes, response::IntoResponse};
use http::header::CONTENT_TYPE;
use keywright_http_tower::ApiKeys;
use utoipa::{
    OpenApi as _,
    openapi::{ContentBuilder, InfoBuilder, OpenApi, PathItem, Ref, ResponseBuilder},
};

use crate::{health, metrics, whoami};

/// The routes of this server's own.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    whoami::whoami,
    health::healthz,
    health::readyz,
    metrics::metrics,
    openapi_json
))]
struct Own;

/// The errors of those routes, which are the library's.
const ERRORS: [(&str, &str, &str); 5] = [
    ("/v1/whoami", "400", "ApiKeyInvalid"),
    ("/v1/whoami", "401", "ApiKeyUnauthorized"),
    ("/v1/whoami", "500", "ApiKeyInternal"),
    ("/v1/whoami", "503", "ApiKeyUnavailable"),
    ("/readyz", "503", "ApiKeyUnavailable"),
];

/// The error that any route answers with after too long a time.
const TIMEOUT: &str = "RequestTimeout";

/// The document, as it is sent.
#[derive(Clone)]
pub(crate) struct Document(Bytes);

impl Document {
    /// Merges what the library says of its endpoints with the routes beside them.
    pub(crate) fn of(endpoints: &ApiKeys) -> Result<Self> {
        let mut document = endpoints.openapi();
        document.info = InfoBuilder::new()
            .title("Keywright")
            .version(env!("CARGO_PKG_VERSION"))
            .description(Some(env!("CARGO_PKG_DESCRIPTION")))
            .build();
        document.merge(Own::openapi());
        add_errors(&mut document);
        let json = document.to_json();
        let json = json.context("cannot write the OpenAPI document")?;
        Ok(Self(json.into()))
    }
}

fn add_errors(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let own = ERRORS.iter().filter(|(of, _, _)| of == path);
        let errors: Vec<_> = own.map(|(_, status, name)| (*status, *name)).collect();
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
                let answers = &mut operation.responses.responses;
                answers.insert(status.to_owned(), error);
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

/// This document
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
