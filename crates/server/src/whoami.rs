//! `GET /v1/whoami`: the key that the request was made with.

use axum::{Extension, Json, response::IntoResponse};
use keywright_core::{Clock, SystemClock, Verified};
use keywright_http_tower::KeyView;

/// Get the calling key
#[utoipa::path(
    get,
    path = "/v1/whoami",
    operation_id = "whoami",
    tag = "Server",
    description = "Returns the key that the request was made with, as an endpoint behind the auth layer sees it.",
    security(("api_key" = [])),
    responses((status = 200, description = "The caller's key.", body = KeyView<'_>)),
)]
pub(crate) async fn whoami(Extension(verified): Extension<Verified>) -> impl IntoResponse {
    Json(KeyView::verified(&verified, SystemClock::default().now())).into_response()
}
