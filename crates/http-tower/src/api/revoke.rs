//! `DELETE /{id}` and `DELETE /self`: revokes a key, alone or with its descendants.

use http::{StatusCode, request::Parts};
use keywright_core::{Action, Reach};
use serde_json::{Map, Value};

use super::{
    body::{self, RequestBody},
    context::{Context, Target},
    fields::Fields,
    query::{self, UNKNOWN},
    response::{ApiResult, json},
};
use crate::{error::ApiError, views::RevocationView};

/// The query parameters.
pub(super) const PARAMETERS: [&str; 1] = [CASCADE];

const CASCADE: &str = "cascade";

pub(super) async fn handle(
    context: &Context,
    parts: &mut Parts,
    body: impl RequestBody,
    target: Target,
) -> ApiResult {
    let (caller, id) = context.authorize_for(parts, Action::Revoke, target).await?;
    let reach = parse(parts.uri.query())?;
    let fields = body::unexpected_object(&parts.headers, body).await?;
    reject_fields(fields)?;
    let revocation = context.issuer.revoke(&caller, &id, reach).await;
    let revocation = revocation.map_err(|error| context.to_api_error(&error))?;
    let count = matches!(reach, Reach::Descendants).then_some(revocation.count);
    json(StatusCode::OK, &RevocationView::new(count))
}

pub(super) fn parse(query: Option<&str>) -> Result<Reach, ApiError> {
    let mut reach = Reach::Key;
    query::for_each(query, &PARAMETERS, |name, value| {
        if name != CASCADE {
            return Err(UNKNOWN);
        }
        let cascade = query::boolean(value).ok_or("cascade must be true or false")?;
        reach = if cascade {
            Reach::Descendants
        } else {
            Reach::Key
        };
        Ok(())
    })?;
    Ok(reach)
}

/// Rejects a body with fields. A client that sends `cascade` in the body expects more keys to be
/// revoked than the request would revoke.
fn reject_fields(body: Map<String, Value>) -> Result<(), ApiError> {
    let mut fields = Fields::new(body);
    if fields.take(CASCADE) {
        fields.reject(CASCADE, "cascade must be a query parameter: ?cascade=true");
    }
    fields.finish(Some(()))
}
