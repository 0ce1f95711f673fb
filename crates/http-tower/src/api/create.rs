//! `POST /`: creates a key.

use http::request::Parts;
use keywright_core::{Action, Environment, Expiry, IssueOutcome, NewKey};
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
    let caller = context.authorize(parts, Action::Create).await?;
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
    issuance::respond(&outcome, context)
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
    let permissions = fields.permissions();
    let environment = fields.optional("environment", |value| {
        let text = value.as_str();
        text.and_then(|text| Environment::parse(text).ok())
            .ok_or_else(|| "environment must be live or test".into())
    });
    let metadata = fields.metadata();
    let allowed_ips = fields.allowed_ips();
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
    new.allowed_ips = allowed_ips;
    Ok(new)
}
