//! `PATCH /{id}`: changes the name or the metadata of a key.

use http::{StatusCode, request::Parts};
use keywright_core::{KeyId, Permission, Rename, error::NameError};
use serde_json::{Map, Value};

use super::{
    body::{self, RequestBody},
    context::Context,
    fields::Fields,
    query,
    response::{ApiResult, json},
};
use crate::{error::ApiError, views::KeyView};

pub(super) async fn handle(
    context: &Context,
    parts: &mut Parts,
    body: impl RequestBody,
    id: KeyId,
) -> ApiResult {
    let caller = context
        .authorize(parts, &Permission::API_KEYS_WRITE)
        .await?;
    query::none(parts.uri.query())?;
    let (object, _) = body::object(&parts.headers, body).await?;
    let change = parse(object)?;
    let key = context.issuer.rename(&caller, &id, &change).await;
    let key = key.map_err(|error| context.to_api_error(&error))?;
    tracing::info!(key = %key.id, workspace = %key.workspace, "API key renamed");
    json(StatusCode::OK, &KeyView::new(&key, context.issuer.now()))
}

pub(super) fn parse(body: Map<String, Value>) -> Result<Rename, ApiError> {
    let mut fields = Fields::new(body);
    let change = Rename::new(fields.optional_name(), fields.metadata());
    if change.name.is_none() && change.metadata.is_none() {
        fields.reject_if_valid("name", NameError::Empty.to_string());
    }
    fields.finish(Some(change))
}
