//! The tower service that hosts mount.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body::Body;
use http_body_util::Full;
use keywright_core::Keywright;
use tower_service::Service;

use super::{
    body::RequestBody,
    context::Context,
    mount::{Mount, RequestPaths},
    router::{self, TEMPLATES},
};
#[cfg(feature = "rate-limit")]
use crate::rate_limit::{Budget, RateLimit};
use crate::{auth::AuthLayer, error::ResponseFormat, future::ResponseFuture, request_id};

/// The API key endpoints, as one tower service for any request body.
///
/// The service authenticates its callers itself, like [`AuthLayer`], so a host mounts it next to
/// its own routes and not behind a layer. If the host has put a [`Caller`](keywright_core::Caller)
/// into the request's extensions, the service uses that. It ignores a caller that another
/// [`Keywright`] has verified.
///
/// | endpoint | permission | response |
/// | --- | --- | --- |
/// | `POST /` | `api_keys:write` | 201 with the new key and its token |
/// | `GET /?page=&limit=&search=…` | `api_keys:read` | 200 with a page of keys |
/// | `GET /{id}` | `api_keys:read` | 200 with the key |
/// | `PATCH /{id}` | `api_keys:write` | 200 with the changed key |
/// | `DELETE /{id}?cascade=` | `api_keys:write` | 200; the key is rejected from now on |
/// | `POST /{id}/rotate` | `api_keys:write` | 201 with the successor and its token |
/// | `GET /self` | none | 200 with the calling key |
/// | `DELETE /self?cascade=` | none | 200; the calling key is rejected from now on |
/// | `POST /self/rotate` | `api_keys.self:rotate` | 201 with the successor and its token |
/// | `POST /verify` | `api_keys:verify` | 200; whether a token is valid |
/// | `GET /events?key_id=&owner=…` | `api_keys:read` | 200 with a page of events |
/// | `GET /report` | `api_keys:read` | 200 with the keys that deserve attention |
///
/// A list takes `page` or `cursor`, `limit`, and the filters `search`, `status` and `owner`.
///
/// Each change of a key leaves an [`Event`](keywright_core::Event) that names the caller, the
/// `X-Request-Id` of the response, and the [`ClientIp`](crate::ClientIp). A host that puts a
/// [`Caller`](keywright_core::Caller) into the request can set the latter two itself. `GET /events`
/// lists the events, the newest first, with `limit` and `cursor`. If the store keeps no events, the
/// response is 404 with the code `no_event_log`.
///
/// A caller with an owner can have the permissions `api_keys.own:read`, `api_keys.own:write` and
/// `api_keys.own:verify` instead. They permit the same on the keys of that owner. For any other
/// key, the caller receives 404. To change a key, a caller must have all permissions of the key.
/// Otherwise it receives 403.
///
/// `PATCH` keeps the fields that are left out. `null` removes `metadata`, `expires_at` and
/// `allowed_ips`. A response about a key contains its version in `ETag`. With `If-Match`, an update
/// of any other version fails with 412.
///
/// With `Idempotency-Key` on create and rotate, a repeat of the request within 24 hours changes
/// nothing: the response is 200 with the key and without its token.
///
/// In the bodies of the other requests, a field with the value `null` counts as missing.
///
/// Every response has `Cache-Control: no-store` and `X-Request-Id`. Errors are JSON (`statusCode`,
/// `message`, `error`, `code`, `requestId`, and on validation `errors`), or RFC 9457 if `Accept`
/// names `application/problem+json`.
///
/// If the service rejects a request before it has read the body, it responds at once and drops the
/// rest of the body. hyper then closes the connection, and a proxy or client that is still sending
/// may receive a reset instead of the response. An HTTP/1.1 server should therefore discard the
/// rest of the body, up to a limit on its length and on the time. See `crates/server/src/drain.rs`
/// in the repository. This crate does not, because that takes a timer and a task, and the crate
/// depends on no runtime.
///
/// ```
/// # fn router(keys: &keywright_core::Keywright) -> axum::Router {
/// use keywright_http_tower::ApiKeys;
///
/// axum::Router::new().nest_service("/v1/api-keys", ApiKeys::nested(keys, "/v1/api-keys"))
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ApiKeys(Arc<Context>);

impl ApiKeys {
    /// The path templates of the endpoints below the mount point, such as `/{id}/rotate`.
    ///
    /// If you register each template, instead of everything below the mount point, your router
    /// knows the template of a request. Use that in logs and metrics, because the path of a request
    /// contains an id.
    ///
    /// ```
    /// # use keywright_core::Keywright;
    /// use axum::Router;
    /// use keywright_http_tower::ApiKeys;
    ///
    /// # fn router(keys: &Keywright) -> Router {
    /// let endpoints = ApiKeys::at(keys, "/v1/api-keys");
    /// ApiKeys::PATHS.into_iter().fold(Router::new(), |router, path| {
    ///     router.route_service(&format!("/v1/api-keys{path}"), endpoints.clone())
    /// })
    /// # }
    /// ```
    pub const PATHS: [&str; 8] = TEMPLATES;

    /// Creates the service for a router that removes the path `base` (`"/v1/api-keys"`) from the
    /// requests below it, as axum's `nest_service` does.
    #[must_use]
    pub fn nested(keys: &Keywright, base: &str) -> Self {
        Self::mounted(keys, Mount::new(base, RequestPaths::BelowBase))
    }

    /// Creates the service for requests whose path begins with `base`, as plain hyper and axum's
    /// `route_service` pass them on.
    #[must_use]
    pub fn at(keys: &Keywright, base: &str) -> Self {
        Self::mounted(keys, Mount::new(base, RequestPaths::Whole))
    }

    fn mounted(keys: &Keywright, mount: Mount) -> Self {
        Self(Arc::new(Context {
            issuer: keys.issuer().clone(),
            authenticator: AuthLayer::new(keys.verifier().clone()).into_authenticator(),
            mount,
            from_browser_sessions: false,
            #[cfg(feature = "rate-limit")]
            rate_limit: None,
        }))
    }

    /// Replaces the authentication: another header or another realm, for example.
    #[must_use]
    pub fn with_auth(self, auth: AuthLayer) -> Self {
        self.with(|context| context.authenticator = auth.into_authenticator())
    }

    /// Limits how often each caller may call the endpoints. `POST /verify` is not limited and does
    /// not count.
    ///
    /// Every authenticated request to an endpoint counts, whatever its response. The responses have
    /// these headers:
    ///
    /// * `X-RateLimit-Limit`: the limit, in requests a minute.
    /// * `X-RateLimit-Remaining`: the number of requests that are accepted right now.
    /// * `X-RateLimit-Reset`: the time until the whole limit is available again if no request
    ///   follows, in seconds, rounded up.
    ///
    /// A request over the limit gets 429 with the code `rate_limited`, and with `Retry-After`: the
    /// time until the next request is accepted, in seconds, rounded up.
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
        self.with(|context| context.rate_limit = Some(limit))
    }

    /// Protects callers whom the host authenticates by a session cookie (CSRF): a browser sends the
    /// cookie with requests that other sites cause.
    ///
    /// A request with another method than GET, HEAD and OPTIONS must then have
    /// `Sec-Fetch-Site: same-origin`, or if that header is missing, an `Origin` with the host and
    /// port of the request. Otherwise the response is 403 with the code `cross_origin`. Its
    /// `Content-Type` must be `application/json` even without a body, or the response is 415.
    ///
    /// The rule applies to a [`Caller`](keywright_core::Caller) that the host has put into the
    /// request. A program that sends a key needs neither header.
    ///
    /// ```
    /// # fn service(keys: &keywright_core::Keywright) -> keywright_http_tower::ApiKeys {
    /// use keywright_http_tower::ApiKeys;
    ///
    /// ApiKeys::nested(keys, "/v1/api-keys").from_browser_sessions()
    /// # }
    /// ```
    #[must_use]
    pub fn from_browser_sessions(self) -> Self {
        self.with(|context| context.from_browser_sessions = true)
    }

    fn with(self, change: impl FnOnce(&mut Context)) -> Self {
        let mut context = Arc::unwrap_or_clone(self.0);
        change(&mut context);
        Self(Arc::new(context))
    }

    /// Returns the OpenAPI 3.1 document of this service, with its mount point and the headers that
    /// it reads tokens from. See [`openapi`](crate::openapi()).
    #[cfg(feature = "openapi")]
    #[must_use]
    pub fn openapi(&self) -> utoipa::openapi::OpenApi {
        let headers: Vec<_> = self.0.authenticator.headers().collect();
        crate::openapi::document(self.0.mount.base(), &headers)
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

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let context = Arc::clone(&self.0);
        ResponseFuture::new(async move { Ok(respond(&context, request).await) })
    }
}

/// Dispatches a request, and adds the headers of every response.
async fn respond(context: &Context, request: Request<impl RequestBody>) -> Response<Full<Bytes>> {
    let (mut parts, body) = request.into_parts();
    request_id::assign(&mut parts.headers);
    let format = ResponseFormat::of(&parts.headers);
    let result = router::dispatch(context, &mut parts, body).await;
    let mut response = result.unwrap_or_else(|error| error.into_response(&format));
    format.write_headers(response.headers_mut());
    #[cfg(feature = "rate-limit")]
    if let Some(budget) = parts.extensions.get::<Budget>() {
        budget.write_headers(response.headers_mut());
    }
    if parts.method == Method::HEAD {
        without_body(response)
    } else {
        response
    }
}

/// Converts the response to a GET into that to a HEAD, which has the same headers, `Content-Length`
/// included (RFC 9110, section 9.3.2).
fn without_body(response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    let (mut head, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        head.headers.insert(header::CONTENT_LENGTH, length.into());
    }
    Response::from_parts(head, Full::default())
}
