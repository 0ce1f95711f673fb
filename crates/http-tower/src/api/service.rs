//! The service that hosts mount.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body::Body;
use http_body_util::Full;
use keywright_core::{Caller, Issuer, Keywright, Permission};
use tower_service::Service;

use super::{body, create};
use crate::{
    auth::{AuthLayer, Authenticator},
    error::{AnswerForm, ApiError},
    future::ResponseFuture,
};

/// The endpoints of API keys, as one tower service over any body.
///
/// It authenticates its callers itself, as [`AuthLayer`] does, so a host mounts it beside its own
/// routes and not behind a layer; where the host has put a [`Caller`] into the request's
/// extensions, that counts.
///
/// | | needs | answers |
/// | --- | --- | --- |
/// | `POST /` | `api_keys:write` | 201 with the new key and its token |
///
/// Every answer has `Cache-Control: no-store` and `X-Request-Id`; errors are JSON
/// (`statusCode`, `message`, `error`, `code`, `requestId`, and `errors` on validation), or RFC 9457
/// where `Accept` names `application/problem+json`.
///
/// ```
/// # fn router(keys: &keywright_core::Keywright) -> axum::Router {
/// use keywright_http_tower::ApiKeys;
///
/// axum::Router::new().nest_service("/v1/api-keys", ApiKeys::nested(keys, "/v1/api-keys"))
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ApiKeys(Arc<Endpoints>);

#[derive(Debug, Clone)]
struct Endpoints {
    issuer: Issuer,
    authenticator: Arc<Authenticator>,
    base: String,
    paths: Paths,
}

/// What the paths of requests begin with.
#[derive(Debug, Clone, Copy)]
enum Paths {
    /// A router has taken the base off.
    BelowBase,
    /// The base.
    Whole,
}

impl ApiKeys {
    /// The service for a mount at the path `base` (`"/v1/api-keys"`) of a router that takes the base
    /// off the path, as axum's `nest_service` does.
    #[must_use]
    pub fn nested(keys: &Keywright, base: &str) -> Self {
        Self::mounted(keys, base, Paths::BelowBase)
    }

    /// The service for requests with their whole path, which begins with `base`, as plain hyper and
    /// axum's `route_service` hand them on.
    #[must_use]
    pub fn at(keys: &Keywright, base: &str) -> Self {
        Self::mounted(keys, base, Paths::Whole)
    }

    fn mounted(keys: &Keywright, base: &str, paths: Paths) -> Self {
        Self(Arc::new(Endpoints {
            issuer: keys.issuer().clone(),
            authenticator: AuthLayer::new(keys.verifier().clone()).into_authenticator(),
            base: base.trim_end_matches('/').to_owned(),
            paths,
        }))
    }

    /// The same with authentication that was set up otherwise: another header, another realm.
    #[must_use]
    pub fn with_auth(self, auth: AuthLayer) -> Self {
        let mut endpoints = Arc::unwrap_or_clone(self.0);
        endpoints.authenticator = auth.into_authenticator();
        Self(Arc::new(endpoints))
    }
}

impl<B> Service<Request<B>> for ApiKeys
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = ResponseFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let endpoints = Arc::clone(&self.0);
        ResponseFuture::new(async move { Ok(endpoints.answer(request).await) })
    }
}

impl Endpoints {
    async fn answer<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let form = AnswerForm::of(request.headers());
        match self.route(request).await {
            Ok(mut response) => {
                form.mark(response.headers_mut());
                response
            }
            Err(error) => error.into_response(&form),
        }
    }

    async fn route<B>(&self, request: Request<B>) -> Result<Response<Full<Bytes>>, ApiError>
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match (self.relative(request.uri().path()), request.method()) {
            (Some("" | "/"), &Method::POST) => self.create(request).await,
            (Some("" | "/"), _) => Err(method_not_allowed("POST")),
            _ => Err(ApiError::not_found()),
        }
    }

    /// The path below the mount; `None` if it is not below it.
    fn relative<'a>(&self, path: &'a str) -> Option<&'a str> {
        match self.paths {
            Paths::BelowBase => Some(path),
            Paths::Whole => path
                .strip_prefix(self.base.as_str())
                .filter(|rest| rest.is_empty() || rest.starts_with('/')),
        }
    }

    async fn create<B>(&self, request: Request<B>) -> Result<Response<Full<Bytes>>, ApiError>
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (mut parts, body) = request.into_parts();
        let caller = self.caller(&mut parts, &Permission::API_KEYS_WRITE).await?;
        let new = create::new_key(body::object(&parts.headers, body).await?)?;
        match self.issuer.create(&caller, new).await {
            Ok(issued) => {
                tracing::info!(key = %issued.key.id, workspace = %issued.key.workspace, "API key created");
                create::response(&issued, &self.base)
            }
            Err(error) => Err(self.authenticator.challenge().issue(&error)),
        }
    }

    /// Who is calling, if they have the permission.
    async fn caller(&self, parts: &mut Parts, permission: &Permission) -> Result<Caller, ApiError> {
        let caller = self.authenticator.authenticate(parts).await?;
        self.issuer
            .authorize(&caller, permission)
            .map_err(|error| self.authenticator.challenge().issue(&error))?;
        Ok(caller)
    }
}

fn method_not_allowed(allow: &'static str) -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "this path has no such method",
    )
    .with_header(header::ALLOW, HeaderValue::from_static(allow))
}
