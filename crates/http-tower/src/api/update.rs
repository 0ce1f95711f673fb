//! `PATCH /{id}`: changes the settings of a key.

use http::{StatusCode, request::Parts};
use keywright_core::{Action, Caller, IssueError, KeyId, KeyUpdate, VersionedKey};
use serde_json::{Map, Value};

use super::{
    body::{self, RequestBody},
    context::{Context, Target},
    etag::{self, Precondition},
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
    let (caller, id) = context
        .authorize_for(parts, Action::Update, Target::Key(id))
        .await?;
    query::none(parts.uri.query())?;
    let precondition = etag::if_match(&parts.headers)?;
    let (object, _) = body::object(&parts.headers, body).await?;
    let change = parse(object)?;
    let updated = update(context, &caller, &id, change, &precondition).await;
    let VersionedKey { key, version, .. } =
        updated.map_err(|error| context.to_api_error(&error))?;
    let response = json(StatusCode::OK, &KeyView::new(&key, context.issuer.now()))?;
    Ok(etag::with_etag(response, version))
}

/// Updates the key if it has one of the versions of the precondition.
async fn update(
    context: &Context,
    caller: &Caller,
    id: &KeyId,
    change: KeyUpdate,
    precondition: &Precondition,
) -> Result<VersionedKey, IssueError> {
    let Precondition::Versions(versions) = precondition else {
        return context.issuer.update(caller, id, &change).await;
    };
    let mut outcome = Err(IssueError::VersionMismatch);
    // In ascending order, because versions grow: a key that changes in the meantime can still have
    // one of the versions that follow.
    for version in versions {
        let change = change.clone().if_version(*version);
        outcome = context.issuer.update(caller, id, &change).await;
        if !matches!(outcome, Err(IssueError::VersionMismatch)) {
            break;
        }
    }
    outcome
}

pub(super) fn parse(body: Map<String, Value>) -> Result<KeyUpdate, ApiError> {
    let mut fields = Fields::new(body);
    let mut change = KeyUpdate::new();
    change.name = fields.new_name();
    change.permissions = fields.new_permissions();
    change.metadata = fields.metadata_change();
    change.enabled = fields.enabled();
    change.expires_at = fields.expiry_change();
    change.allowed_ips = fields.allowed_ips_change();
    if change.is_empty() {
        fields.reject_if_valid("", "the body must have at least one field");
    }
    fields.finish(Some(change))
}
