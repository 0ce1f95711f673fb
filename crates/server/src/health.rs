//! `GET /healthz` and `GET /readyz`.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::{HeaderMap, StatusCode};
use keywright_core::store::KeyStore;
use keywright_http_tower::error_response;

/// Whether the server is running
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "healthz",
    tag = "Server",
    responses((status = 200, description = "The server is running.", content_type = "text/plain", body = str)),
)]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether the server can reach its store
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    tag = "Server",
    responses((status = 200, description = "The server can reach its store.", content_type = "text/plain", body = str)),
)]
pub(crate) async fn readyz(
    State(store): State<Arc<dyn KeyStore>>,
    headers: HeaderMap,
) -> Result<&'static str, Response> {
    match store.is_empty().await {
        Ok(_) => Ok("ok\n"),
        Err(error) => {
            tracing::error!(%error, "not ready");
            let message = "the key store cannot be reached";
            let status = StatusCode::SERVICE_UNAVAILABLE;
            Err(error_response(status, "unavailable", message, &headers).map(axum::body::Body::new))
        }
    }
}
