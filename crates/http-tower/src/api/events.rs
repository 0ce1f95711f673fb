//! `GET /events`: lists the events of changes.

use http::{StatusCode, request::Parts};
use keywright_core::{Action, KeyId, ListEvents};

use super::{
    context::Context,
    query::{self, UNKNOWN},
    response::{ApiResult, json},
};
use crate::{error::ApiError, views::EventPageView};

/// The query parameters.
pub(super) const PARAMETERS: [&str; 4] = ["key_id", "owner", "limit", "cursor"];

pub(super) async fn handle(context: &Context, parts: &mut Parts) -> ApiResult {
    let caller = context.authorize(parts, Action::List).await?;
    let request = parse(parts.uri.query())?;
    let limit = request.limit;
    let page = context.issuer.events(&caller, request).await;
    let page = page.map_err(|error| context.to_api_error(&error))?;
    json(StatusCode::OK, &EventPageView::new(&page, limit))
}

pub(super) fn parse(query: Option<&str>) -> Result<ListEvents, ApiError> {
    let mut request = ListEvents::new();
    query::for_each(query, &PARAMETERS, |name, value| {
        match name {
            "key_id" => {
                let message = "key_id must be key_ followed by 16 ASCII letters and digits";
                request.key = Some(KeyId::parse(value).map_err(|_| message)?);
            }
            "owner" => request.owner = Some(query::owner(value)?),
            "limit" => request.limit = query::limit(value)?,
            "cursor" => request.after = Some(value.into()),
            _ => return Err(UNKNOWN),
        }
        Ok(())
    })?;
    Ok(request)
}
