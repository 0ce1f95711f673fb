//! The paths and methods of the endpoints.

use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};
use http_body_util::Full;
use keywright_core::KeyId;

use super::{
    body::RequestBody, context::Context, create, get, list, response::ApiResult, revoke, rotate,
    update, verify,
};
use crate::{error::ApiError, trace::operation};

/// A path below the mount point.
#[derive(Clone, Copy)]
pub(super) enum Route {
    /// `/`
    Keys,
    /// `/verify`
    Verify,
    /// `/{id}`
    Key(KeyId),
    /// `/{id}/rotate`
    Rotate(KeyId),
}

/// The paths of all routes, as templates.
pub(super) const TEMPLATES: [&str; 4] = ["", "/verify", "/{id}", "/{id}/rotate"];

impl Route {
    /// Parses a path. Returns `None` if it is unknown, or if its id is malformed.
    fn parse(path: &str) -> Option<Self> {
        match path {
            "" | "/" => return Some(Self::Keys),
            "/verify" => return Some(Self::Verify),
            _ => {}
        }
        let path = path.strip_prefix('/')?;
        match path.strip_suffix("/rotate") {
            Some(id) => KeyId::parse(id).ok().map(Self::Rotate),
            None => KeyId::parse(path).ok().map(Self::Key),
        }
    }

    /// The methods of the path, as `Allow` lists them.
    pub(super) const fn allow(self) -> &'static str {
        match self {
            Self::Keys => "GET, HEAD, POST, OPTIONS",
            Self::Verify | Self::Rotate(_) => "POST, OPTIONS",
            Self::Key(_) => "GET, HEAD, PATCH, DELETE, OPTIONS",
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
        (Route::Key(id), &(Method::GET | Method::HEAD)) => {
            operation("get", Some(id), get::handle(context, parts, id)).await
        }
        (Route::Key(id), &Method::PATCH) => {
            operation("update", Some(id), update::handle(context, parts, body, id)).await
        }
        (Route::Key(id), &Method::DELETE) => {
            operation("revoke", Some(id), revoke::handle(context, parts, body, id)).await
        }
        (Route::Rotate(id), &Method::POST) => {
            operation("rotate", Some(id), rotate::handle(context, parts, body, id)).await
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
