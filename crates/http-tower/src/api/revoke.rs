//! `DELETE /{id}`: revokes a key, alone or with its descendants.

use http::{StatusCode, request::Parts};
use keywright_core::{KeyId, Permission, Reach};

use super::{
    context::Context,
    query::{self, UNKNOWN},
    response::{ApiResult, json},
};
use crate::{error::ApiError, views::RevocationView};

/// The query parameters.
pub(super) const PARAMETERS: [&str; 1] = ["cascade"];

pub(super) async fn handle(context: &Context, parts: &mut Parts, id: KeyId) -> ApiResult {
    let caller = context
        .authorize(parts, &Permission::API_KEYS_WRITE)
        .await?;
    let reach = parse(parts.uri.query())?;
    let revocation = context.issuer.revoke(&caller, &id, reach).await;
    let revocation = revocation.map_err(|error| context.to_api_error(&error))?;
    let count = revocation.count;
    tracing::info!(key = %id, workspace = %caller.workspace(), count, "API key revoked");
    let count = matches!(reach, Reach::Descendants).then_some(count);
    json(StatusCode::OK, &RevocationView::new(count))
}

pub(super) fn parse(query: Option<&str>) -> Result<Reach, ApiError> {
    let mut reach = Reach::Key;
    query::for_each(query, &PARAMETERS, |name, value| {
        reach = match (name, value) {
            ("cascade", "true") => Reach::Descendants,
            ("cascade", "false") => Reach::Key,
            ("cascade", _) => return Err("cascade must be true or false"),
            _ => return Err(UNKNOWN),
        };
        Ok(())
    })?;
    Ok(reach)
}
