//! `GET /`: lists keys.

use http::{StatusCode, request::Parts};
use keywright_core::{Action, ListKeys, ListStart, Status};

use super::{
    context::Context,
    query::{self, UNKNOWN},
    response::{ApiResult, json},
};
use crate::{bounds::MAX_SEARCH_LENGTH, error::ApiError, views::KeyPageView};

/// The query parameters.
pub(super) const PARAMETERS: [&str; 7] = [
    "page", "limit", "search", "status", "owner", "imported", "cursor",
];

pub(super) async fn handle(context: &Context, parts: &mut Parts) -> ApiResult {
    let caller = context.authorize(parts, Action::List).await?;
    let request = parse(parts.uri.query())?;
    let (start, limit) = (request.start.clone(), request.limit);
    let listed = context.issuer.list(&caller, request).await;
    let listed = listed.map_err(|error| context.to_api_error(&error))?;
    let page = KeyPageView::new(&listed, &start, limit, context.issuer.now());
    json(StatusCode::OK, &page)
}

pub(super) fn parse(query: Option<&str>) -> Result<ListKeys, ApiError> {
    let mut request = ListKeys::new();
    let mut page = None;
    query::for_each(query, &PARAMETERS, |name, value| {
        match name {
            "page" => {
                let number = query::number(value, u32::MAX);
                let number = number.ok_or("page must be a whole number from 1")?;
                if matches!(request.start, ListStart::After(_)) {
                    return Err("page cannot be given with cursor");
                }
                page = Some(number);
            }
            "limit" => request.limit = query::limit(value)?,
            "search" if value.chars().nth(MAX_SEARCH_LENGTH).is_some() => {
                return Err("search must be at most 1024 characters");
            }
            "search" => {
                request.search = Some(value.into()).filter(|text: &String| !text.is_empty());
            }
            "status" => {
                let status = Status::ALL
                    .into_iter()
                    .find(|status| status.as_str() == value);
                let message = "status must be active, disabled, expired or revoked";
                request.status = Some(status.ok_or(message)?);
            }
            "owner" => request.owner = Some(query::owner(value)?),
            "imported" => {
                let message = "imported must be true or false";
                request.imported = query::boolean(value).ok_or(message)?;
            }
            "cursor" if page.is_some() => return Err("cursor cannot be given with page"),
            "cursor" => request.start = ListStart::After(value.into()),
            _ => return Err(UNKNOWN),
        }
        Ok(())
    })?;
    if let Some(page) = page {
        request.start = ListStart::page(page, request.limit);
    }
    Ok(request)
}
