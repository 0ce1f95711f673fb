//! `GET /{id}` and `GET /self`: returns a key.

use http::{StatusCode, request::Parts};
use keywright_core::Action;

use super::{
    context::{Context, Target},
    etag, query,
    response::{ApiResult, json},
};
use crate::views::KeyView;

pub(super) async fn handle(context: &Context, parts: &mut Parts, target: Target) -> ApiResult {
    let (caller, id) = context.authorize_for(parts, Action::Find, target).await?;
    query::none(parts.uri.query())?;
    let found = context.issuer.find(&caller, &id).await;
    let found = found.map_err(|error| context.to_api_error(&error))?;
    let response = json(
        StatusCode::OK,
        &KeyView::new(&found.key, context.issuer.now()),
    )?;
    Ok(etag::with_etag(response, found.version))
}
