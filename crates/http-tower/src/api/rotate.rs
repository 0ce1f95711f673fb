//! `POST /{id}/rotate` and `POST /self/rotate`: replaces a key with a successor.

use std::time::Duration;

use http::request::Parts;
use keywright_core::{Action, IssueOutcome, NewRotation};
use serde_json::{Map, Value};

use super::{
    body::{self, RequestBody},
    context::{Context, Target},
    fields::Fields,
    issuance, query,
    response::ApiResult,
};
use crate::error::ApiError;

pub(super) async fn handle(
    context: &Context,
    parts: &mut Parts,
    body: impl RequestBody,
    target: Target,
) -> ApiResult {
    let (caller, id) = context.authorize_for(parts, Action::Rotate, target).await?;
    query::none(parts.uri.query())?;
    let idempotency_key = issuance::idempotency_key(&parts.headers)?;
    let (object, text) = body::optional_object(&parts.headers, body).await?;
    let rotation = parse(object.unwrap_or_default())?;
    let issuer = &context.issuer;
    let outcome = match idempotency_key {
        Some(key) => {
            issuer
                .rotate_once(&caller, &id, &rotation, &key, &text)
                .await
        }
        None => issuer
            .rotate(&caller, &id, &rotation)
            .await
            .map(IssueOutcome::Issued),
    };
    let outcome = outcome.map_err(|error| context.to_api_error(&error))?;
    issuance::respond(&outcome, context)
}

pub(super) fn parse(body: Map<String, Value>) -> Result<NewRotation, ApiError> {
    let mut fields = Fields::new(body);
    let mut rotation = NewRotation::new();
    let overlap = fields.optional("expire_previous", overlap);
    rotation.overlap = overlap.unwrap_or(rotation.overlap);
    rotation.expires_at = fields.expires_at();
    fields.finish(Some(rotation))
}

fn overlap(value: Value) -> Result<Duration, String> {
    let overlap = match &value {
        Value::String(text) if text == "now" => Some(Duration::ZERO),
        Value::String(text) if text == "24h" => Some(Duration::from_secs(24 * 60 * 60)),
        // JSON has one kind of number: 60.0 is the same number as 60.
        value => value
            .as_f64()
            .filter(|seconds| seconds.fract() == 0.0)
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
    };
    overlap
        .filter(|overlap| *overlap <= NewRotation::MAX_OVERLAP)
        .ok_or_else(|| {
            "expire_previous must be now, 24h or a number of seconds from 0 to 2592000".into()
        })
}
