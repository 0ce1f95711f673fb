//! The routes of the server.

use std::{num::NonZeroU32, sync::Arc};

use anyhow::Result;
use axum::{
    Extension, Router,
    body::Body,
    routing::{MethodRouter, get},
};
use http::{HeaderMap, StatusCode, header::ALLOW};
use keywright_http_tower::{ApiKeys, AuthLayer, ClientIpLayer, RateLimit, error_response};

use crate::{
    drain::drain,
    health::{self, Readiness},
    metrics::{self, Metrics},
    middleware::observe,
    openapi,
    store::Library,
    whoami,
};

/// The path of the library's endpoints.
pub(crate) const BASE: &str = "/v1/api-keys";

/// The routers of the server.
pub(crate) struct Routers {
    /// All routes, except for those of `probes` if these have a separate address.
    pub(crate) api: Router,
    /// Only `/healthz`, `/readyz` and `/metrics`.
    pub(crate) probes: Router,
    /// The routes of `probes` for connections beyond the limit. Other requests receive 503.
    pub(crate) reserve: Router,
}

impl Routers {
    /// Returns the routers for a library, with the console if there is one. A rate limit of 0 means
    /// no limit.
    pub(crate) fn new(
        library: &Library,
        console: Option<Router>,
        rate_limit: u32,
        client_ip: ClientIpLayer,
        metrics: Metrics,
        separate_probes: bool,
    ) -> Result<Self> {
        let probes = probes(library, metrics);
        let mut api = api(library, rate_limit, separate_probes)?.layer(client_ip);
        if let Some(console) = console {
            api = api.merge(console);
        }
        if !separate_probes {
            api = api.merge(probes.clone());
        }
        Ok(Self {
            api: not_found(api),
            reserve: observed(probes.clone().fallback(async |headers: HeaderMap| {
                let message = "the server has no free connection";
                let status = StatusCode::SERVICE_UNAVAILABLE;
                error_response(status, "unavailable", message, &headers).map(Body::new)
            })),
            probes: not_found(probes),
        })
    }
}

fn api(library: &Library, rate_limit: u32, separate_probes: bool) -> Result<Router> {
    let keys = &library.keys;
    let mut endpoints = ApiKeys::at(keys, BASE);
    if let Some(requests) = NonZeroU32::new(rate_limit) {
        endpoints = endpoints.with_rate_limit(RateLimit::per_minute(requests));
    }
    let auth = AuthLayer::new(keys.verifier().clone());
    let document = Extension(openapi::Document::of(&endpoints, separate_probes)?);
    // Each path template is a separate route, so that logs and metrics show the template.
    let router = ApiKeys::PATHS.into_iter().fold(
        Router::new().route_service(&format!("{BASE}/"), endpoints.clone()),
        |router, path| router.route_service(&format!("{BASE}{path}"), endpoints.clone()),
    );
    Ok(router
        .route("/v1/whoami", read(get(whoami::whoami).layer(auth)))
        .route(
            "/openapi.json",
            read(get(openapi::openapi_json).layer(document)),
        ))
}

fn probes(library: &Library, metrics: Metrics) -> Router {
    Router::new()
        .route(
            "/metrics",
            read(get(metrics::metrics).layer(Extension(metrics))),
        )
        .route("/healthz", read(get(health::healthz)))
        .route("/readyz", read(get(health::readyz)))
        .with_state(Readiness::of(Arc::clone(&library.store)))
}

/// Adds `OPTIONS`, without authentication, to a route that has only `GET` and `HEAD`.
fn read<S: Clone + Send + Sync + 'static>(route: MethodRouter<S>) -> MethodRouter<S> {
    route.options(async || (StatusCode::NO_CONTENT, [(ALLOW, "GET, HEAD, OPTIONS")]))
}

/// Responds to requests for other paths and methods.
fn not_found(router: Router) -> Router {
    observed(router.fallback(async |headers: HeaderMap| {
        let message = "there is nothing here";
        error_response(StatusCode::NOT_FOUND, "not_found", message, &headers).map(Body::new)
    }))
}

fn observed(router: Router) -> Router {
    router
        .method_not_allowed_fallback(async |headers: HeaderMap| {
            let message = "this path does not support the method";
            let status = StatusCode::METHOD_NOT_ALLOWED;
            error_response(status, "method_not_allowed", message, &headers).map(Body::new)
        })
        .layer(axum::middleware::from_fn(observe))
        .layer(axum::middleware::from_fn(drain))
}
