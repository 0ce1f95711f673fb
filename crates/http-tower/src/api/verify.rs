//! `POST /verify`: reports whether a token is valid.

use http::{StatusCode, request::Parts};
use keywright_core::{Action, IntrospectionRequest};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{
    body::{self, RequestBody},
    context::Context,
    fields::Fields,
    query,
    response::{ApiResult, json},
};
use crate::{error::ApiError, views::IntrospectionView};

pub(super) async fn handle(
    context: &Context,
    parts: &mut Parts,
    body: impl RequestBody,
) -> ApiResult {
    let caller = context
        .authorize_unlimited(parts, Action::Introspect)
        .await?;
    query::none(parts.uri.query())?;
    let (object, _) = body::object(&parts.headers, body).await?;
    let token = parse(object)?;
    let introspection = context
        .issuer
        .introspect(&caller, token.as_bytes(), &IntrospectionRequest::new())
        .await;
    let introspection = introspection.map_err(|error| context.to_api_error(&error))?;
    let view = IntrospectionView::new(&introspection, context.issuer.now());
    json(StatusCode::OK, &view)
}

pub(super) fn parse(body: Map<String, Value>) -> Result<Zeroizing<String>, ApiError> {
    let mut fields = Fields::new(body);
    let token = fields.read("key", |value| match value {
        Some(Value::String(token)) => Ok(Zeroizing::new(token)),
        Some(_) => Err("key must be a string".into()),
        None => Err("key should not be empty".into()),
    });
    fields.finish(token)
}
