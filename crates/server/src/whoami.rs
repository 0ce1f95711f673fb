//! `GET /v1/whoami`: what a protected endpoint sees of its caller.

use axum::{Extension, Json, response::IntoResponse};
use keywright_core::{Clock, SystemClock, Verified};
use keywright_http_tower::Item;

pub(crate) async fn whoami(Extension(verified): Extension<Verified>) -> impl IntoResponse {
    Json(Item::new(verified.key(), SystemClock::default().now())).into_response()
}
