//! The paths and methods of the endpoints.

use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};
use http_body_util::Full;
use keywright_core::KeyId;

use super::{
    body::RequestBody,
    browser,
    context::{Context, Target},
    create, events, get, list, report,
    response::ApiResult,
    revoke, rotate, update, verify,
};
use crate::{error::ApiError, trace::operation};

/// A path below the mount point.
#[derive(Clone, Copy)]
pub(super) enum Route {
    /// `/`
    Keys,
    /// `/verify`
    Verify,
    /// `/events`
    Events,
    /// `/report`
    Report,
    /// `/{id}` or `/self`
    Key(Target),
    /// `/{id}/rotate` or `/self/rotate`
    Rotate(Target),
}

/// The paths of all routes, as templates.
pub(super) const TEMPLATES: [&str; 8] = [
    "",
    "/verify",
    "/events",
    "/report",
    "/self",
    "/self/rotate",
    "/{id}",
    "/{id}/rotate",
];

impl Route {
    /// Parses a path. Returns `None` if it is unknown, or if its id is malformed.
    fn parse(path: &str) -> Option<Self> {
        match path {
            "" | "/" => return Some(Self::Keys),
            "/verify" => return Some(Self::Verify),
            "/events" => return Some(Self::Events),
            "/report" => return Some(Self::Report),
            _ => {}
        }
        let path = path.strip_prefix('/')?;
        let (target, to_route): (_, fn(Target) -> Self) = match path.strip_suffix("/rotate") {
            Some(target) => (target, Self::Rotate),
            None => (path, Self::Key),
        };
        let target = match target {
            "self" => Target::Itself,
            id => Target::Key(KeyId::parse(id).ok()?),
        };
        Some(to_route(target))
    }

    /// The methods of the path, as `Allow` lists them.
    pub(super) const fn allow(self) -> &'static str {
        match self {
            Self::Keys => "GET, HEAD, POST, OPTIONS",
            Self::Events | Self::Report => "GET, HEAD, OPTIONS",
            Self::Verify | Self::Rotate(_) => "POST, OPTIONS",
            Self::Key(Target::Key(_)) => "GET, HEAD, PATCH, DELETE, OPTIONS",
            Self::Key(Target::Itself) => "GET, HEAD, DELETE, OPTIONS",
        }
    }
}

/// Calls the handler of the request's path and method.
pub(super) async fn dispatch(
    context: &Context,
    parts: &mut Parts,
    body: impl RequestBody,
) -> ApiResult {
    let route = context
        .mount
        .relative(parts.uri.path())
        .and_then(Route::parse)
        .ok_or_else(ApiError::not_found)?;
    if context.from_browser_sessions {
        browser::check(parts)?;
    }
    match (route, &parts.method) {
        (Route::Keys, &Method::POST) => {
            operation("create", None, create::handle(context, parts, body)).await
        }
        (Route::Keys, &(Method::GET | Method::HEAD)) => {
            operation("list", None, list::handle(context, parts)).await
        }
        (Route::Verify, &Method::POST) => {
            operation("verify", None, verify::handle(context, parts, body)).await
        }
        (Route::Events, &(Method::GET | Method::HEAD)) => {
            operation("events", None, events::handle(context, parts)).await
        }
        (Route::Report, &(Method::GET | Method::HEAD)) => {
            operation("report", None, report::handle(context, parts)).await
        }
        (Route::Key(target), &(Method::GET | Method::HEAD)) => {
            operation("get", target.id(), get::handle(context, parts, target)).await
        }
        (Route::Key(Target::Key(id)), &Method::PATCH) => {
            operation("update", Some(id), update::handle(context, parts, body, id)).await
        }
        (Route::Key(target), &Method::DELETE) => {
            let handler = revoke::handle(context, parts, body, target);
            operation("revoke", target.id(), handler).await
        }
        (Route::Rotate(target), &Method::POST) => {
            let handler = rotate::handle(context, parts, body, target);
            operation("rotate", target.id(), handler).await
        }
        (route, &Method::OPTIONS) => Ok(options(route)),
        (route, _) => Err(method_not_allowed(route)),
    }
}

fn options(route: Route) -> Response<Full<bytes::Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let allow = HeaderValue::from_static(route.allow());
    response.headers_mut().insert(header::ALLOW, allow);
    response
}

fn method_not_allowed(route: Route) -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "this path does not support the method",
    )
    .with_header(header::ALLOW, HeaderValue::from_static(route.allow()))
}
