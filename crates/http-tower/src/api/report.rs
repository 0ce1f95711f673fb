//! `GET /report`: reports the keys that deserve attention.

use http::{StatusCode, request::Parts};
use keywright_core::Action;

use super::{
    context::Context,
    query::{self, UNKNOWN},
    response::{ApiResult, json},
};
use crate::{error::ApiError, views::ReportView};

/// The query parameters.
pub(super) const PARAMETERS: [&str; 1] = ["cursor"];

pub(super) async fn handle(context: &Context, parts: &mut Parts) -> ApiResult {
    let caller = context.authorize(parts, Action::List).await?;
    let cursor = parse(parts.uri.query())?;
    let report = context.issuer.report(&caller, cursor).await;
    let report = report.map_err(|error| context.to_api_error(&error))?;
    let view = ReportView::new(&report, context.issuer.now());
    json(StatusCode::OK, &view)
}

pub(super) fn parse(query: Option<&str>) -> Result<Option<String>, ApiError> {
    let mut cursor = None;
    query::for_each(query, &PARAMETERS, |name, value| {
        if name != "cursor" {
            return Err(UNKNOWN);
        }
        cursor = Some(value.into());
        Ok(())
    })?;
    Ok(cursor)
}
