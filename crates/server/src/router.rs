//! The routes of the server.

use std::{num::NonZeroU32, sync::Arc};

use anyhow::Result;
use axum::{
    Extension, Router,
    body::Body,
    routing::{MethodRouter, get},
};
use http::{HeaderMap, StatusCode, header::ALLOW};
use keywright_http_tower::{ApiKeys, AuthLayer, RateLimit, error_response};

use crate::{
    health::{self, Readiness},
    metrics::{self, Metrics},
    middleware::observe,
    openapi,
    store::Library,
    whoami,
};

/// Returns the router of the server. A rate limit of 0 disables it.
pub(crate) fn router(library: &Library, rate_limit: u32, metrics: Metrics) -> Result<Router> {
    let keys = &library.keys;
    let base = "/v1/api-keys";
    let mut endpoints = ApiKeys::at(keys, base);
    if let Some(requests) = NonZeroU32::new(rate_limit) {
        endpoints = endpoints.with_rate_limit(RateLimit::per_minute(requests));
    }
    let auth = AuthLayer::new(keys.verifier().clone());
    let document = Extension(openapi::Document::of(&endpoints)?);
    Ok(Router::new()
        .route_service(base, endpoints.clone())
        .route_service(&format!("{base}/"), endpoints.clone())
        .route_service(&format!("{base}/{{*rest}}"), endpoints)
        .route("/v1/whoami", get(whoami::whoami).layer(auth))
        .route("/openapi.json", get(openapi::openapi_json).layer(document))
        .route("/metrics", get(metrics::metrics).layer(Extension(metrics)))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .with_state(Readiness::of(Arc::clone(&library.store)))
        .fallback(async |headers: HeaderMap| {
            let message = "there is nothing here";
            error_response(StatusCode::NOT_FOUND, "not_found", message, &headers).map(Body::new)
        })
        .method_not_allowed_fallback(async |headers: HeaderMap| {
            let message = "this path has no such method";
            let status = StatusCode::METHOD_NOT_ALLOWED;
            error_response(status, "method_not_allowed", message, &headers).map(Body::new)
        })
        .layer(axum::middleware::from_fn(observe))
        .layer(axum::middleware::from_fn(drain)))
}

/// Adds `OPTIONS` to a route that can be read, without authentication.
fn read<S: Clone + Send + Sync + 'static>(route: MethodRouter<S>) -> MethodRouter<S> {
    route.options(async || (StatusCode::NO_CONTENT, [(ALLOW, "GET, HEAD, OPTIONS")]))
}
