//! `POST /`: creates a key.

use http::request::Parts;
use keywright_core::{Environment, Expiry, IssueOutcome, NewKey, Permission, Permissions};
use serde_json::{Map, Value};

use super::{
    body::{self, RequestBody},
    context::Context,
    fields::Fields,
    issuance, query,
    response::ApiResult,
};
use crate::error::ApiError;

pub(super) async fn handle(
    context: &Context,
    parts: &mut Parts,
    body: impl RequestBody,
) -> ApiResult {
    let caller = context
        .authorize(parts, &Permission::API_KEYS_WRITE)
        .await?;
    query::none(parts.uri.query())?;
    let idempotency_key = issuance::idempotency_key(&parts.headers)?;
    let (object, text) = body::object(&parts.headers, body).await?;
    let new = parse(object)?;
    let issuer = &context.issuer;
    let outcome = match idempotency_key {
        Some(key) => issuer.create_once(&caller, new, &key, &text).await,
        None => issuer.create(&caller, new).await.map(IssueOutcome::Issued),
    };
    let outcome = outcome.map_err(|error| context.to_api_error(&error))?;
    issuance::log(&outcome, "API key created");
    issuance::respond(&outcome, &context.mount)
}

pub(super) fn parse(body: Map<String, Value>) -> Result<NewKey, ApiError> {
    let mut fields = Fields::new(body);
    let name = fields.name();
    let expire_now = fields.optional("expire_now", |value| {
        value
            .as_bool()
            .ok_or_else(|| "expire_now must be a boolean".into())
    });
    let expires_at = fields.expires_at();
    let permissions = fields.optional("permissions", permissions);
    let environment = fields.optional("environment", |value| {
        let text = value.as_str();
        text.and_then(|text| Environment::parse(text).ok())
            .ok_or_else(|| "environment must be live or test".into())
    });
    let metadata = fields.metadata();
    let expiry = match (expire_now, expires_at) {
        (Some(true), Some(_)) => {
            fields.reject("expires_at", "expires_at cannot be given with expire_now");
            Expiry::Now
        }
        (Some(true), None) => Expiry::Now,
        (_, Some(end)) => Expiry::At(end),
        (_, None) => Expiry::Inherited,
    };
    let mut new = NewKey::new(fields.finish(name)?);
    new.expiry = expiry;
    new.permissions = permissions;
    new.environment = environment;
    new.metadata = metadata;
    Ok(new)
}

fn permissions(value: Value) -> Result<Permissions, String> {
    let Value::Array(items) = value else {
        return Err("permissions must be a list of strings".into());
    };
    let permissions: Option<Result<Vec<_>, _>> = items
        .iter()
        .map(|item| item.as_str().map(Permission::parse))
        .collect();
    permissions
        .ok_or("permissions must be a list of strings")?
        .and_then(Permissions::new)
        .map_err(|error| error.to_string())
}
