//! The layer and its configuration.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, Response, header, request::Parts};
use http_body_util::Full;
use keywright_core::{Environment, Permission, Verifier};
use tower_layer::Layer;

use super::{Rejection, authenticator::Authenticator, on_reject::OnReject, service::Auth};
use crate::error::Challenge;

/// A layer that lets only authenticated callers through to the service that it wraps.
///
/// It reads `Authorization: Bearer <token>`, verifies the token, and puts a
/// [`Caller`](keywright_core::Caller) and the [`Verified`](keywright_core::Verified) key into the
/// request's extensions. It never reads a token from the query string. If the host has already put
/// a `Caller` there (from a session or mTLS, for example), the layer uses that and ignores the
/// header. It removes a `Caller` from the layer of another
/// [`Keywright`](keywright_core::Keywright), and reads the header.
///
/// A rejected request gets 401, 403, 400 or 503 as JSON, with `WWW-Authenticate` as in [RFC
/// 6750](https://www.rfc-editor.org/rfc/rfc6750#section-3). Malformed and unknown tokens, and those
/// of revoked, expired and disabled keys, all get the same response. If the request has no
/// credentials, another scheme than `Bearer` or a bare token, the response names the expected form.
/// For a gRPC service, use [`for_grpc`](Self::for_grpc): the layer then responds with a gRPC
/// status.
///
/// A key that is restricted to addresses passes only if the request has a
/// [`ClientIp`](crate::ClientIp) in its extensions, which the host or a
/// [`ClientIpLayer`](crate::ClientIpLayer) puts there.
///
/// ```
/// use keywright_core::Verifier;
/// use keywright_http_tower::AuthLayer;
///
/// # fn layers(verifier: Verifier) -> Result<(), Box<dyn std::error::Error>> {
/// let authenticated = AuthLayer::new(verifier);
/// // A guard for one route. It can be used alone or inside the layer above.
/// let readers = authenticated.clone().require("calls:read".parse()?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct AuthLayer(Arc<Authenticator>);

impl AuthLayer {
    /// Creates a layer that reads `Authorization: Bearer <token>`, names the realm `api`, and
    /// requires no permission and no environment.
    pub fn new(verifier: Verifier) -> Self {
        Self(Arc::new(Authenticator {
            verifier,
            header: header::AUTHORIZATION,
            other_headers: Vec::new(),
            required: None,
            environment: None,
            challenge: Challenge::default(),
            is_optional: false,
            allow_preflight: false,
            for_grpc: false,
            on_reject: None,
        }))
    }

    /// Requires this permission of every caller.
    ///
    /// The layer also accepts a `test` key that has the permission. On routes where it must not,
    /// such as those that charge cards or send mail, add
    /// [`require_environment`](Self::require_environment).
    pub fn require(self, permission: Permission) -> Self {
        self.with(|settings| settings.required = Some(permission))
    }

    /// Requires the caller's environment to be exactly this one. Other callers receive 403 with the
    /// code `environment_not_permitted`.
    ///
    /// Without this, the layer accepts keys of both environments, and the routes must check
    /// [`Caller::environment`](keywright_core::Caller::environment).
    ///
    /// ```
    /// use keywright_core::{Environment, Verifier};
    /// use keywright_http_tower::AuthLayer;
    ///
    /// # fn layers(verifier: Verifier) -> Result<(), Box<dyn std::error::Error>> {
    /// let payments = AuthLayer::new(verifier)
    ///     .require("payments:write".parse()?)
    ///     .require_environment(Environment::Live);
    /// # Ok(())
    /// # }
    /// ```
    pub fn require_environment(self, environment: Environment) -> Self {
        self.with(|settings| settings.environment = Some(environment))
    }

    /// Reads the token from another header, whose whole value is the token: `X-API-Key: <token>`.
    /// The layer then ignores `Authorization`, and its challenge names the scheme `ApiKey`. To read
    /// both, use [`also_header`](Self::also_header).
    pub fn with_header(self, header: HeaderName) -> Self {
        self.with(|settings| {
            let is_authorization = header == header::AUTHORIZATION;
            settings.challenge.scheme = if is_authorization { "Bearer" } else { "ApiKey" };
            settings.other_headers.retain(|other| *other != header);
            settings.header = header;
        })
    }

    /// Also reads the token from another header, whose whole value is the token: `X-API-Key:
    /// <token>`. If the header is `Authorization`, its value is `Bearer <token>`. A request with
    /// more than one of these headers receives 400 with the code `invalid_request`.
    ///
    /// ```
    /// use http::HeaderName;
    /// use keywright_core::Verifier;
    /// use keywright_http_tower::AuthLayer;
    ///
    /// # fn layer(verifier: Verifier) -> AuthLayer {
    /// AuthLayer::new(verifier).also_header(HeaderName::from_static("x-api-key"))
    /// # }
    /// ```
    pub fn also_header(self, header: HeaderName) -> Self {
        self.with(|settings| {
            if !settings.headers().any(|known| *known == header) {
                settings.other_headers.push(header);
            }
        })
    }

    /// Lets requests without credentials through, without a
    /// [`Caller`](keywright_core::Caller), for a route that serves anonymous clients as well.
    ///
    /// A request without credentials has none of the headers that the layer reads. The layer checks
    /// every other request. It rejects an invalid token, a bare token and any scheme but `Bearer`,
    /// so that a client whose key has expired does not become anonymous unnoticed.
    ///
    /// The required permission and environment apply only to requests with a caller. The route must
    /// treat a request without one as having no permission. [`ApiKeys`](crate::ApiKeys) ignores
    /// this setting.
    ///
    /// ```
    /// use axum::{Extension, Router, routing::get};
    /// use keywright_core::{Caller, Verifier};
    /// use keywright_http_tower::AuthLayer;
    ///
    /// async fn prices(caller: Option<Extension<Caller>>) -> String {
    ///     match caller {
    ///         Some(Extension(caller)) => format!("the prices of {}", caller.workspace()),
    ///         None => "the list prices".into(),
    ///     }
    /// }
    ///
    /// # fn app(verifier: Verifier) -> Router {
    /// Router::new().route("/prices", get(prices).layer(AuthLayer::new(verifier).optional()))
    /// # }
    /// ```
    pub fn optional(self) -> Self {
        self.with(|settings| settings.is_optional = true)
    }

    /// Changes the responses to rejected requests: calls `change` with the reason, the head of the
    /// request and the response that the layer would return, and returns what `change` returns.
    ///
    /// Change the body with [`Response::map`], so that the response keeps its status and its
    /// headers, `WWW-Authenticate` and `Retry-After` among them. [`ApiKeys`](crate::ApiKeys)
    /// ignores this setting.
    ///
    /// ```
    /// use http_body_util::Full;
    /// use keywright_core::Verifier;
    /// use keywright_http_tower::AuthLayer;
    ///
    /// # fn layer(verifier: Verifier) -> AuthLayer {
    /// AuthLayer::new(verifier).on_reject(|rejection, _, response| {
    ///     let body = format!(r#"{{"problem":"{}"}}"#, rejection.code());
    ///     response.map(|_| Full::from(body))
    /// })
    /// # }
    /// ```
    pub fn on_reject(
        self,
        change: impl Fn(&Rejection, &Parts, Response<Full<Bytes>>) -> Response<Full<Bytes>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.with(|settings| settings.on_reject = Some(OnReject::new(change)))
    }

    /// Sets the realm in `WWW-Authenticate`.
    ///
    /// # Errors
    ///
    /// [`RealmError`] if it contains anything but visible ASCII and spaces, or `"` or `\`.
    pub fn with_realm(self, realm: &str) -> Result<Self, RealmError> {
        let allowed = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        if !realm.bytes().all(allowed) {
            return Err(RealmError);
        }
        Ok(self.with(|settings| realm.clone_into(&mut settings.challenge.realm)))
    }

    /// Passes CORS preflights on without authentication, because browsers send them without
    /// credentials. A preflight is an `OPTIONS` request with `Origin` and
    /// `Access-Control-Request-Method`. The request that is passed on has no `Caller`.
    ///
    /// You need this only if the service that responds to preflights is behind this layer. If you
    /// can, put the `CorsLayer` of [tower-http] around this layer instead. It then responds to
    /// preflights before they reach this layer, and adds its headers to rejections, so that scripts
    /// can read them. In axum, the layer that is added last is the outermost:
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use http::{HeaderValue, Method, header};
    /// use keywright_core::Verifier;
    /// use keywright_http_tower::AuthLayer;
    /// use tower_http::cors::CorsLayer;
    ///
    /// # async fn calls() {}
    /// # fn app(verifier: Verifier) -> Result<Router, Box<dyn std::error::Error>> {
    /// let cors = CorsLayer::new()
    ///     .allow_origin("https://app.example".parse::<HeaderValue>()?)
    ///     .allow_methods([Method::GET])
    ///     .allow_headers([header::AUTHORIZATION]);
    /// let app = Router::new()
    ///     .route("/calls", get(calls))
    ///     .layer(AuthLayer::new(verifier))
    ///     .layer(cors);
    /// # Ok(app)
    /// # }
    /// ```
    ///
    /// [`ApiKeys`](crate::ApiKeys) always responds to `OPTIONS` without authentication.
    ///
    /// [tower-http]: https://docs.rs/tower-http
    pub fn allow_preflight(self) -> Self {
        self.with(|settings| settings.allow_preflight = true)
    }

    /// Rejects gRPC calls with a gRPC status, because gRPC clients do not read JSON: HTTP 200 with
    /// the `grpc-status` `UNAUTHENTICATED`, `PERMISSION_DENIED`, `INVALID_ARGUMENT` or
    /// `UNAVAILABLE`.
    ///
    /// A gRPC call is a POST over HTTP/2 with the type `application/grpc`. Other requests are
    /// rejected as without this setting. The client chooses the content type, so use this setting
    /// only behind HTTP/2 and in front of gRPC services only. A component that reads the HTTP
    /// status (`auth_request` of a proxy, a firewall, a log) would mistake a rejection for a
    /// success. [`ApiKeys`](crate::ApiKeys) ignores this setting.
    pub fn for_grpc(self) -> Self {
        self.with(|settings| settings.for_grpc = true)
    }

    fn with(self, change: impl FnOnce(&mut Authenticator)) -> Self {
        let mut settings = Arc::unwrap_or_clone(self.0);
        change(&mut settings);
        Self(Arc::new(settings))
    }

    pub(crate) fn into_authenticator(self) -> Arc<Authenticator> {
        self.0
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Auth<S> {
        Auth::new(inner, Arc::clone(&self.0))
    }
}

/// An error from [`AuthLayer::with_realm`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(r#"a realm must be visible ASCII and spaces, without " and \"#)]
#[non_exhaustive]
pub struct RealmError;
