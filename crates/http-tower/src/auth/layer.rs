//! How the layer is set up.

use std::{fmt, sync::Arc};

use http::{HeaderName, header};
use keywright_core::{Permission, Verifier};
use tower_layer::Layer;

use super::{Auth, Authenticator};
use crate::error::Challenge;

/// Lets only verified callers through to the service that it wraps.
///
/// It reads `Authorization: Bearer <token>`, verifies the token, and puts a
/// [`Caller`](keywright_core::Caller) and the [`Verified`](keywright_core::Verified) key into the
/// request's extensions. A token in the query string is never looked at. Where the host has put a
/// `Caller` there before (by a session, by mTLS), that counts, and the header is not looked at.
///
/// Whoever is not let through gets 401, 403, 400 or 503 as JSON, with `WWW-Authenticate` as in
/// [RFC 6750](https://www.rfc-editor.org/rfc/rfc6750#section-3); a token that is malformed,
/// unknown, revoked or expired is refused with one and the same answer. In front of a gRPC service,
/// [`for_grpc`](Self::for_grpc) makes it answer in gRPC's own form.
///
/// ```
/// use keywright_core::Verifier;
/// use keywright_http_tower::AuthLayer;
///
/// # fn layers(verifier: Verifier) -> Result<(), Box<dyn std::error::Error>> {
/// let authenticated = AuthLayer::new(verifier);
/// // A guard for one route; it may stand alone or inside the layer above.
/// let readers = authenticated.clone().require("calls:read".parse()?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct AuthLayer(Arc<Authenticator>);

impl AuthLayer {
    /// A layer that reads `Authorization: Bearer <token>`, names the realm `api`, and lets every
    /// caller through whose token is verified.
    pub fn new(verifier: Verifier) -> Self {
        Self(Arc::new(Authenticator {
            verifier,
            header: header::AUTHORIZATION,
            required: None,
            challenge: Challenge {
                start: challenge("Bearer", "api"),
            },
            for_grpc: false,
        }))
    }

    /// Lets only callers through that have this permission: the guard of a host's own routes.
    pub fn require(self, permission: Permission) -> Self {
        self.with(|settings| settings.required = Some(permission))
    }

    /// Reads another header, whose whole value is the token: `X-API-Key: <token>`. The challenge
    /// then names the scheme `ApiKey`. `Authorization` is not looked at any more.
    pub fn with_header(self, header: HeaderName) -> Self {
        self.with(|settings| {
            let start = settings.challenge.start.replacen("Bearer", "ApiKey", 1);
            settings.challenge.start = start;
            settings.header = header;
        })
    }

    /// Names another realm in `WWW-Authenticate`.
    ///
    /// # Errors
    ///
    /// [`RealmError`] if it holds anything but visible ASCII and spaces, or `"` or `\`.
    pub fn with_realm(self, realm: &str) -> Result<Self, RealmError> {
        let allowed = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        if !realm.bytes().all(allowed) {
            return Err(RealmError);
        }
        Ok(self.with(|settings| {
            let bearer = settings.header == header::AUTHORIZATION;
            settings.challenge.start = challenge(if bearer { "Bearer" } else { "ApiKey" }, realm);
        }))
    }

    /// Answers calls of gRPC in their own form: HTTP 200 with the `grpc-status` `UNAUTHENTICATED`,
    /// `PERMISSION_DENIED`, `INVALID_ARGUMENT` or `UNAVAILABLE`, since their clients read no JSON.
    ///
    /// A call is a POST over HTTP/2 of `application/grpc`; every other request is answered as without
    /// this. The client says what its request is, so use it only behind HTTP/2 where all that it
    /// guards is gRPC: whatever goes by the HTTP status (a proxy's `auth_request`, a firewall, logs)
    /// would take a refusal for a success. [`ApiKeys`](crate::ApiKeys) answers JSON all the same.
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

fn challenge(scheme: &str, realm: &str) -> String {
    format!(r#"{scheme} realm="{realm}""#)
}

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Auth<S> {
        Auth::new(inner, Arc::clone(&self.0))
    }
}

/// The text cannot stand in a header as a realm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RealmError;

impl fmt::Display for RealmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"a realm is visible ASCII and spaces, without " and \"#)
    }
}

impl std::error::Error for RealmError {}
