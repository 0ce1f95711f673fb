//! The service that hosts mount.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body::Body;
use http_body_util::Full;
use keywright_core::{
    Caller, IdempotencyKey, IssueError, IssueOutcome, Issued, Issuer, KeyId, Keywright, Permission,
};
use tower_service::Service;

use super::{
    answer::{self, Answer},
    bodies, body, create, query,
};
#[cfg(feature = "rate-limit")]
use crate::{RateLimit, limit::Budget};
use crate::{
    auth::{AuthLayer, Authenticator},
    error::{AnswerForm, ApiError},
    future::ResponseFuture,
    trace::{self, operation},
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
/// | `GET /?page=&limit=&search=&status=&cursor=` | `api_keys:read` | 200 with a page of keys |
/// | `GET /{id}` | `api_keys:read` | 200 with the key |
/// | `PATCH /{id}` | `api_keys:write` | 200 with the renamed key |
/// | `DELETE /{id}?cascade=` | `api_keys:write` | 200; the key opens nothing any more |
/// | `POST /{id}/rotate` | `api_keys:write` | 201 with the successor and its token |
/// | `POST /verify` | `api_keys:verify` | 200 with what a token is worth |
///
/// `Idempotency-Key` on create and rotate makes a repeat within 24 hours do nothing: it answers 200
/// with the key and without its token.
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
    #[cfg(feature = "rate-limit")]
    limit: Option<RateLimit>,
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
            #[cfg(feature = "rate-limit")]
            limit: None,
        }))
    }

    /// The same with authentication that was set up otherwise: another header, another realm.
    #[must_use]
    pub fn with_auth(self, auth: AuthLayer) -> Self {
        let mut endpoints = Arc::unwrap_or_clone(self.0);
        endpoints.authenticator = auth.into_authenticator();
        Self(Arc::new(endpoints))
    }

    /// The same with a limit to how often each caller may ask; without it there is none. `POST
    /// /verify` is not limited, and costs nothing.
    ///
    /// Every request counts that was authenticated and names an endpoint, whatever it is answered.
    /// The answers tell: `X-RateLimit-Limit` is the limit, in requests a minute;
    /// `X-RateLimit-Remaining` how many could follow at once; `X-RateLimit-Reset` after how many
    /// seconds without a request, at most, the whole limit is there again. One request too many is
    /// answered 429 with the code `rate_limited`, and `Retry-After`: in how many seconds the next one
    /// is let through.
    ///
    /// ```
    /// # fn service(keys: &keywright_core::Keywright) -> Option<keywright_http_tower::ApiKeys> {
    /// use keywright_http_tower::{ApiKeys, RateLimit};
    ///
    /// let limit = RateLimit::per_minute(600.try_into().ok()?);
    /// Some(ApiKeys::nested(keys, "/v1/api-keys").with_rate_limit(limit))
    /// # }
    /// ```
    #[cfg(feature = "rate-limit")]
    #[must_use]
    pub fn with_rate_limit(self, limit: RateLimit) -> Self {
        let mut endpoints = Arc::unwrap_or_clone(self.0);
        endpoints.limit = Some(limit);
        Self(Arc::new(endpoints))
    }

    /// The OpenAPI 3.1 document of this service, where it is mounted and with the header that it
    /// reads tokens from. See [`openapi`](crate::openapi()).
    #[cfg(feature = "openapi")]
    #[must_use]
    pub fn openapi(&self) -> utoipa::openapi::OpenApi {
        crate::openapi::document(&self.0.base, self.0.authenticator.header())
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
        let (mut parts, body) = request.into_parts();
        let answer = self.route(&mut parts, body).await;
        let mut response = answer.unwrap_or_else(|error| error.into_response(&form));
        form.mark(response.headers_mut());
        #[cfg(feature = "rate-limit")]
        if let Some(budget) = parts.extensions.get::<Budget>() {
            budget.mark(response.headers_mut());
        }
        if parts.method == Method::HEAD {
            without_body(response)
        } else {
            response
        }
    }

    async fn route<B>(&self, parts: &mut Parts, body: B) -> Answer
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let route = self
            .relative(parts.uri.path())
            .and_then(Route::parse)
            .ok_or_else(ApiError::not_found)?;
        match (route, &parts.method) {
            (Route::Keys, &Method::POST) => {
                operation("create", None, self.create(parts, body)).await
            }
            (Route::Keys, &(Method::GET | Method::HEAD)) => {
                operation("list", None, self.list(parts)).await
            }
            (Route::Verify, &Method::POST) => {
                operation("verify", None, self.verify(parts, body)).await
            }
            (Route::Key(id), &(Method::GET | Method::HEAD)) => {
                operation("find", Some(id), self.find(parts, id)).await
            }
            (Route::Key(id), &Method::PATCH) => {
                operation("rename", Some(id), self.rename(parts, body, id)).await
            }
            (Route::Key(id), &Method::DELETE) => {
                operation("revoke", Some(id), self.revoke(parts, id)).await
            }
            (Route::Rotate(id), &Method::POST) => {
                operation("rotate", Some(id), self.rotate(parts, body, id)).await
            }
            (route, &Method::OPTIONS) => Ok(options(route.allow())),
            (route, _) => Err(method_not_allowed(route.allow())),
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

    async fn create<B>(&self, parts: &mut Parts, body: B) -> Answer
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let caller = self.manager(parts, &Permission::API_KEYS_WRITE).await?;
        query::none(parts.uri.query())?;
        let idempotency = idempotency_key(&parts.headers)?;
        let (object, text) = body::object(&parts.headers, body).await?;
        let new = create::new_key(object)?;
        let outcome = match idempotency {
            Some(key) => self.issuer.create_once(&caller, new, &key, &text).await,
            None => self
                .issuer
                .create(&caller, new)
                .await
                .map(IssueOutcome::Issued),
        };
        let outcome = outcome.map_err(|error| self.told(&error))?;
        log(&outcome, "API key created");
        answer::issued(&outcome, &self.base)
    }

    async fn list(&self, parts: &mut Parts) -> Answer {
        let caller = self.manager(parts, &Permission::API_KEYS_READ).await?;
        let wanted = query::list(parts.uri.query())?;
        let (start, limit) = (wanted.start.clone(), wanted.limit);
        let listed = self.issuer.list(&caller, wanted).await;
        let listed = listed.map_err(|error| self.told(&error))?;
        answer::page(&listed, &start, limit, self.issuer.now())
    }

    async fn find(&self, parts: &mut Parts, id: KeyId) -> Answer {
        let caller = self.manager(parts, &Permission::API_KEYS_READ).await?;
        query::none(parts.uri.query())?;
        let key = self.issuer.find(&caller, &id).await;
        answer::item(&key.map_err(|error| self.told(&error))?, self.issuer.now())
    }

    async fn rename<B>(&self, parts: &mut Parts, body: B, id: KeyId) -> Answer
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let caller = self.manager(parts, &Permission::API_KEYS_WRITE).await?;
        query::none(parts.uri.query())?;
        let (object, _) = body::object(&parts.headers, body).await?;
        let rename = bodies::rename(object)?;
        let key = self.issuer.rename(&caller, &id, &rename).await;
        let key = key.map_err(|error| self.told(&error))?;
        tracing::info!(key = %key.id, workspace = %key.workspace, "API key renamed");
        answer::item(&key, self.issuer.now())
    }

    async fn revoke(&self, parts: &mut Parts, id: KeyId) -> Answer {
        let caller = self.manager(parts, &Permission::API_KEYS_WRITE).await?;
        let reach = query::revoke(parts.uri.query())?;
        let revocation = self.issuer.revoke(&caller, &id, reach).await;
        let revocation = revocation.map_err(|error| self.told(&error))?;
        let count = revocation.count;
        tracing::info!(key = %id, workspace = %caller.workspace(), count, "API key revoked");
        answer::revoked(revocation, reach)
    }

    async fn rotate<B>(&self, parts: &mut Parts, body: B, id: KeyId) -> Answer
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let caller = self.manager(parts, &Permission::API_KEYS_WRITE).await?;
        query::none(parts.uri.query())?;
        let idempotency = idempotency_key(&parts.headers)?;
        let (object, text) = body::optional_object(&parts.headers, body).await?;
        let rotation = bodies::rotation(object.unwrap_or_default())?;
        let outcome = match idempotency {
            Some(key) => {
                self.issuer
                    .rotate_once(&caller, &id, &rotation, &key, &text)
                    .await
            }
            None => self
                .issuer
                .rotate(&caller, &id, &rotation)
                .await
                .map(IssueOutcome::Issued),
        };
        let outcome = outcome.map_err(|error| self.told(&error))?;
        log(&outcome, "API key rotated");
        answer::issued(&outcome, &self.base)
    }

    async fn verify<B>(&self, parts: &mut Parts, body: B) -> Answer
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let caller = self.caller(parts, &Permission::API_KEYS_VERIFY).await?;
        query::none(parts.uri.query())?;
        let (object, _) = body::object(&parts.headers, body).await?;
        let token = bodies::presented(object)?;
        let introspection = self.issuer.introspect(&caller, token.as_bytes()).await;
        let introspection = introspection.map_err(|error| self.told(&error))?;
        answer::introspected(&introspection, self.issuer.now())
    }

    fn told(&self, error: &IssueError) -> ApiError {
        self.authenticator.challenge().issue(error)
    }

    /// Who is calling, if they have the permission.
    async fn caller(&self, parts: &mut Parts, permission: &Permission) -> Result<Caller, ApiError> {
        let caller = self.authenticator.authenticate(parts).await?;
        self.authorize(caller, permission)
    }

    /// The same where the rate is limited. Nobody spends a budget before they have shown that it is
    /// theirs.
    async fn manager(
        &self,
        parts: &mut Parts,
        permission: &Permission,
    ) -> Result<Caller, ApiError> {
        let caller = self.authenticator.authenticate(parts).await?;
        #[cfg(feature = "rate-limit")]
        if let Some(limit) = &self.limit {
            let budget = limit.spend(&caller);
            parts.extensions.insert(budget);
            budget.check()?;
        }
        self.authorize(caller, permission)
    }

    fn authorize(&self, caller: Caller, permission: &Permission) -> Result<Caller, ApiError> {
        trace::asked_by(&caller);
        let authorized = self.issuer.authorize(&caller, permission);
        authorized.map_err(|error| self.told(&error))?;
        Ok(caller)
    }
}

/// What a path names.
#[derive(Clone, Copy)]
pub(super) enum Route {
    Keys,
    Verify,
    Key(KeyId),
    Rotate(KeyId),
}

impl Route {
    /// `None` for what is not there, and for what has not the shape of an id.
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

    pub(super) const fn allow(self) -> &'static str {
        match self {
            Self::Keys => "GET, HEAD, POST, OPTIONS",
            Self::Verify | Self::Rotate(_) => "POST, OPTIONS",
            Self::Key(_) => "GET, HEAD, PATCH, DELETE, OPTIONS",
        }
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, ApiError> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let key = value
        .to_str()
        .ok()
        .and_then(|text| IdempotencyKey::parse(text).ok());
    match (key, values.next()) {
        (Some(key), None) => Ok(Some(key)),
        _ => Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "invalid_idempotency_key",
            "Idempotency-Key must be given once, as 1 to 255 visible ASCII characters",
        )),
    }
}

fn log(outcome: &IssueOutcome, message: &'static str) {
    if let IssueOutcome::Issued(Issued { key, .. }) = outcome {
        tracing::info!(key = %key.id, workspace = %key.workspace, "{message}");
    }
}

/// What a HEAD is answered: the head of a GET, its length too (RFC 9110, section 9.3.2).
fn without_body(response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    let (mut head, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        head.headers.insert(header::CONTENT_LENGTH, length.into());
    }
    Response::from_parts(head, Full::default())
}

fn options(allow: &'static str) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let allow = HeaderValue::from_static(allow);
    answer.headers_mut().insert(header::ALLOW, allow);
    answer
}

fn method_not_allowed(allow: &'static str) -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "this path has no such method",
    )
    .with_header(header::ALLOW, HeaderValue::from_static(allow))
}
