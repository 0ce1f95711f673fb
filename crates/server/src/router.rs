//! The routes of the server.

use std::{num::NonZeroU32, sync::Arc};

use anyhow::Result;
use axum::{
    Extension, Router,
    body::Body,
    middleware::{from_fn, from_fn_with_state},
    routing::{MethodRouter, get},
};
use http::{HeaderMap, HeaderName, StatusCode, header::ALLOW};
use keywright_core::Keywright;
use keywright_http_tower::{
    ApiKeys, AuthLayer, ClientIpLayer, ForwardAuth, RateLimit, error_response,
};

use crate::{
    drain::drain,
    health::{self, Readiness},
    metrics::{self, Metrics},
    middleware::{close_when_stopping, observe},
    openapi,
    serve_options::ServeOptions,
    shutdown::Shutdown,
    store::Library,
    whoami,
};

/// The path of the library's endpoints.
pub(crate) const BASE: &str = "/v1/api-keys";

/// The path at which proxies ask whether a request may pass.
pub(crate) const FORWARD_AUTH: &str = "/v1/auth";

/// The routers of the server.
pub(crate) struct Routers {
    /// All routes, except for those of `probes` if these have a separate address.
    pub(crate) api: Router,
    /// Only `/healthz`, `/readyz` and `/metrics`.
    pub(crate) probes: Router,
    /// The routes for clients beyond a limit: those of `probes`, unless these have a separate
    /// address. Other requests receive 503.
    pub(crate) overloaded: Router,
}

impl Routers {
    /// Returns the routers for a library, with the console if there is one. A rate limit of 0 means
    /// no limit.
    pub(crate) fn new(
        library: &Library,
        console: Option<Router>,
        options: &ServeOptions,
        client_ip: ClientIpLayer,
        metrics: Metrics,
        shutdown: Shutdown,
        separate_probes: bool,
    ) -> Result<Self> {
        let closing = from_fn_with_state(shutdown.clone(), close_when_stopping);
        let probes = probes(library, metrics, shutdown);
        let mut api = api(library, options, separate_probes)?.layer(client_ip);
        if let Some(console) = console {
            api = api.merge(console);
        }
        let mut overloaded = Router::new();
        if !separate_probes {
            api = api.merge(probes.clone());
            overloaded = probes.clone();
        }
        Ok(Self {
            api: not_found(api).layer(closing),
            overloaded: observed(overloaded.fallback(async |headers: HeaderMap| {
                let message = "the server has no free connection";
                let status = StatusCode::SERVICE_UNAVAILABLE;
                error_response(status, "unavailable", message, &headers).map(Body::new)
            })),
            probes: not_found(probes),
        })
    }
}

fn api(library: &Library, options: &ServeOptions, separate_probes: bool) -> Result<Router> {
    let keys = &library.keys;
    let auth = auth(keys, &options.auth_header);
    let mut endpoints = ApiKeys::at(keys, BASE).with_auth(auth.clone());
    if let Some(requests) = NonZeroU32::new(options.rate_limit) {
        endpoints = endpoints.with_rate_limit(RateLimit::per_minute(requests));
    }
    let forward_auth = ForwardAuth::new(auth.clone());
    let document = openapi::Document::of(&endpoints, &forward_auth, separate_probes)?;
    // Each path template is a separate route, so that logs and metrics show the template.
    let router = ApiKeys::PATHS.into_iter().fold(
        Router::new().route_service(&format!("{BASE}/"), endpoints.clone()),
        |router, path| router.route_service(&format!("{BASE}{path}"), endpoints.clone()),
    );
    Ok(router
        .route_service(FORWARD_AUTH, forward_auth)
        .route("/v1/whoami", read(get(whoami::whoami).layer(auth)))
        .route(
            "/openapi.json",
            read(get(openapi::openapi_json).layer(Extension(document))),
        ))
}

/// Returns a layer that reads the token from any one of these headers.
fn auth(keys: &Keywright, headers: &[HeaderName]) -> AuthLayer {
    let layer = AuthLayer::new(keys.verifier().clone());
    let Some((first, others)) = headers.split_first() else {
        return layer;
    };
    let others = others.iter().cloned();
    others.fold(layer.with_header(first.clone()), AuthLayer::also_header)
}

fn probes(library: &Library, metrics: Metrics, shutdown: Shutdown) -> Router {
    Router::new()
        .route(
            "/metrics",
            read(get(metrics::metrics).layer(Extension(metrics))),
        )
        .route("/healthz", read(get(health::healthz)))
        .route("/readyz", read(get(health::readyz)))
        .with_state((Readiness::of(Arc::clone(&library.store)), shutdown))
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
        .layer(from_fn(observe))
        .layer(from_fn(drain))
}
