//! What the bodies of the other endpoints ask for.

use std::time::Duration;

use keywright_core::{NameError, NewRotation, Rename};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::fields::Fields;
use crate::error::ApiError;

/// `PATCH /{id}`: a name, metadata, or both.
pub(super) fn rename(body: Map<String, Value>) -> Result<Rename, ApiError> {
    let mut fields = Fields::of(body);
    let given = fields.has("name") || fields.has("metadata");
    let rename = Rename::new(fields.optional_name(), fields.metadata());
    if !given {
        fields.wrong("name", NameError::Empty.to_string());
    }
    fields.finish(Some(rename))
}

/// `POST /{id}/rotate`.
pub(super) fn rotation(body: Map<String, Value>) -> Result<NewRotation, ApiError> {
    let mut fields = Fields::of(body);
    let mut rotation = NewRotation::new();
    let overlap = fields.optional("expire_previous", |value| {
        let overlap = match &value {
            Value::String(text) if text == "now" => Some(Duration::ZERO),
            Value::String(text) if text == "24h" => Some(Duration::from_secs(24 * 60 * 60)),
            // JSON has one kind of number: 60.0 is as whole as 60.
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
    });
    rotation.overlap = overlap.unwrap_or(rotation.overlap);
    rotation.expires_at = fields.expires_at();
    fields.finish(Some(rotation))
}

/// `POST /verify`: the token that somebody has presented.
pub(super) fn presented(body: Map<String, Value>) -> Result<Zeroizing<String>, ApiError> {
    let mut fields = Fields::of(body);
    let token = fields.read("key", |value| match value {
        Some(Value::String(token)) => Ok(Zeroizing::new(token)),
        Some(_) => Err("key must be a string".into()),
        None => Err("key should not be empty".into()),
    });
    fields.finish(token)
}
