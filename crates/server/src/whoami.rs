//! `GET /v1/whoami`: what a protected endpoint sees of its caller.

use axum::{Extension, Json, response::IntoResponse};
use keywright_core::{Clock, SystemClock, Verified};
use keywright_http_tower::KeyView;

/// Who is calling
#[utoipa::path(
    get,
    path = "/v1/whoami",
    operation_id = "whoami",
    tag = "Server",
    description = "What an endpoint behind the auth layer sees: the key that the request was made with.",
    security(("api_key" = [])),
    responses((status = 200, description = "The caller's key.", body = KeyView<'_>)),
)]
pub(crate) async fn whoami(Extension(verified): Extension<Verified>) -> impl IntoResponse {
    Json(KeyView::verified(&verified, SystemClock::default().now())).into_response()
}
