//! `GET /{id}`: returns a key.

use http::{StatusCode, request::Parts};
use keywright_core::{KeyId, Permission};

use super::{
    context::Context,
    query,
    response::{ApiResult, json},
};
use crate::views::KeyView;

pub(super) async fn handle(context: &Context, parts: &mut Parts, id: KeyId) -> ApiResult {
    let caller = context.authorize(parts, &Permission::API_KEYS_READ).await?;
    query::none(parts.uri.query())?;
    let key = context.issuer.find(&caller, &id).await;
    let key = key.map_err(|error| context.to_api_error(&error))?;
    json(StatusCode::OK, &KeyView::new(&key, context.issuer.now()))
}
