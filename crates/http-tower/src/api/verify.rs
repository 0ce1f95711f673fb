//! `POST /verify`: reports whether a token is valid.

use http::{StatusCode, request::Parts};
use keywright_core::{Action, IntrospectionRequest, Permission};
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
    let Presented { token, request } = parse(object)?;
    let issuer = &context.issuer;
    let introspection = issuer.introspect(&caller, token.as_bytes(), &request).await;
    let introspection = introspection.map_err(|error| context.to_api_error(&error))?;
    let view = IntrospectionView::new(&introspection, issuer.now());
    json(StatusCode::OK, &view)
}

/// A token and the use for which it was presented.
pub(super) struct Presented {
    token: Zeroizing<String>,
    request: IntrospectionRequest,
}

pub(super) fn parse(body: Map<String, Value>) -> Result<Presented, ApiError> {
    let mut fields = Fields::new(body);
    let token = fields.read("key", |value| match value {
        Some(Value::String(token)) => Ok(without_line_break(token)),
        Some(_) => Err("key must be a string".into()),
        None => Err("key should not be empty".into()),
    });
    let mut request = IntrospectionRequest::new();
    request.permission = fields.optional("permission", |value| {
        let text = value.as_str().ok_or("permission must be a string")?;
        Permission::parse(text).map_err(|error| error.to_string())
    });
    request.client_ip = fields.optional("client_ip", |value| {
        let text = value.as_str();
        text.and_then(|text| text.parse().ok())
            .ok_or_else(|| "client_ip must be an IP address".into())
    });
    fields.finish(token.map(|token| Presented { token, request }))
}

/// Removes a line break at the end of a token. A token that was read from a file often has one.
fn without_line_break(token: String) -> Zeroizing<String> {
    let mut token = Zeroizing::new(token);
    if token.ends_with('\n') {
        token.pop();
        if token.ends_with('\r') {
            token.pop();
        }
    }
    token
}
