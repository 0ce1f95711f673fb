//! The middleware around every route: request id, log line, metrics, `Host`, timeout,
//! `Cache-Control`, and `Connection` while the server stops.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use http::{
    HeaderValue, Method, StatusCode, Version,
    header::{CACHE_CONTROL, CONNECTION},
};
use keywright_http_tower::{REQUEST_ID, error_response, request_id};
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use crate::{host_header, metrics, shutdown::Shutdown};

/// How long a request may take, from the end of its head to the start of the response. A client
/// that sends its body byte by byte gets no more time.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Handles a request, logs and counts it, and responds with 400 to a bad `Host` and with 408 after
/// [`REQUEST_TIMEOUT`].
pub(crate) async fn observe(mut request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let (parts, body) = request.into_parts();
    let host = host_header::check(&parts);
    let request = Request::from_parts(parts, body);
    let headers = request.headers().clone();
    let method = known_method(request.method());
    // Log the route, not the path: some client will put a token into a path.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("", MatchedPath::as_str);
    let span = tracing::info_span!(
        "request",
        id = id.to_str().unwrap_or_default(),
        method,
        route,
    );
    let started = now();
    let reject =
        |status, code, message| error_response(status, code, message, &headers).map(Body::new);
    let mut response = match host {
        Err(message) => reject(StatusCode::BAD_REQUEST, "invalid_host", message),
        Ok(()) => {
            let response = next.run(request).instrument(span.clone());
            timeout(REQUEST_TIMEOUT, response)
                .await
                .unwrap_or_else(|_| {
                    let status = StatusCode::REQUEST_TIMEOUT;
                    reject(status, "request_timeout", "the request took too long")
                })
        }
    };
    let duration = started.elapsed();
    metrics::record_response(method, route, response.status(), duration);
    let duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    span.in_scope(|| {
        tracing::info!(
            status = response.status().as_u16(),
            duration_us,
            "responded"
        );
    });
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Closes a connection of HTTP/1.1 after a response, once the server was asked to stop. A proxy
/// that learns this from a response does not send a request while the server closes the connection.
pub(crate) async fn close_when_stopping(
    State(shutdown): State<Shutdown>,
    request: Request,
    next: Next,
) -> Response {
    let version = request.version();
    let mut response = next.run(request).await;
    if version < Version::HTTP_2 && shutdown.is_requested() {
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[expect(
    clippy::disallowed_methods,
    reason = "measures a duration for the log and the metrics"
)]
fn now() -> Instant {
    Instant::now()
}

/// Returns the method if it is a standard one, otherwise `OTHER`: some client will also put a token
/// there.
fn known_method(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let known = known.into_iter().find(|known| *known == method.as_str());
    known.unwrap_or("OTHER")
}
