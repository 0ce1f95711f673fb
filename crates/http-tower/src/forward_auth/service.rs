//! The tower service that hosts mount.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, Version, header, request::Parts,
};
use http_body::Body;
use http_body_util::Full;
use keywright_core::{Caller, KeyId, Owner};
use tower_service::Service;

use super::query;
use crate::{
    auth::{AuthLayer, Authenticator, require},
    error::{ApiError, ResponseFormat},
    future::ResponseFuture,
    request_id,
};

/// A service that decides for a proxy whether a request may pass, for the services behind the
/// proxy: `auth_request` of nginx, `forward_auth` of Caddy, `forwardAuth` of Traefik and
/// `ext_authz` of Envoy.
///
/// The proxy sends the headers of a client's request, with any method and without the body. The
/// service verifies the token in the headers that the [`AuthLayer`] reads, by default
/// `Authorization`. It reads no token from a path or a query.
///
/// | parameter | meaning |
/// | --- | --- |
/// | `permission` | a required permission; repeated up to 16 times, all of them are required |
/// | `uri` | ends the query; what a proxy appends here from its client is not read |
///
/// Without `permission`, any valid key passes. For any other parameter and for a malformed
/// permission, the response is 400, so that a typo does not let every key through.
///
/// The response to a request that may pass is 200 without a body, because Envoy accepts no other
/// status. It has these headers, which the proxy passes to the service behind it:
///
/// * `X-Keywright-Key-Id`: the id of the key.
/// * `X-Keywright-Workspace`: the workspace.
/// * `X-Keywright-Environment`: `live` or `test`.
/// * `X-Keywright-Owner`: the owner, as it is: 1 to 128 visible ASCII characters.
///
/// If the caller has no owner, or is not a key, the header is present and empty. So it replaces a
/// header of the same name that the client has sent.
///
/// The responses to requests that are rejected, or cannot be decided (503), are those of
/// [`AuthLayer`]. The service ignores [`optional`](AuthLayer::optional),
/// [`allow_preflight`](AuthLayer::allow_preflight), [`on_reject`](AuthLayer::on_reject) and
/// [`for_grpc`](AuthLayer::for_grpc) of the layer: a proxy reads only the status.
///
/// For keys with allowed addresses, wrap the service in a
/// [`ClientIpLayer`](crate::ClientIpLayer) that trusts the proxy.
///
/// ```
/// use axum::Router;
/// use keywright_core::Keywright;
/// use keywright_http_tower::{AuthLayer, ForwardAuth};
///
/// fn app(keys: &Keywright) -> Router {
///     let decisions = ForwardAuth::new(AuthLayer::new(keys.verifier().clone()));
///     Router::new().route_service("/auth", decisions)
/// }
/// ```
#[derive(Debug, Clone)]
pub struct ForwardAuth(Arc<Authenticator>);

impl ForwardAuth {
    /// `X-Keywright-Environment`.
    pub const ENVIRONMENT: HeaderName = HeaderName::from_static("x-keywright-environment");
    /// `X-Keywright-Key-Id`.
    pub const KEY_ID: HeaderName = HeaderName::from_static("x-keywright-key-id");
    /// `X-Keywright-Owner`.
    pub const OWNER: HeaderName = HeaderName::from_static("x-keywright-owner");
    /// `X-Keywright-Workspace`.
    pub const WORKSPACE: HeaderName = HeaderName::from_static("x-keywright-workspace");

    /// Creates the service. It authenticates callers as the layer does.
    #[must_use]
    pub fn new(auth: AuthLayer) -> Self {
        Self(auth.into_authenticator())
    }

    /// Returns the OpenAPI 3.1 document of this service at `path`. It contains the method GET, but
    /// the service accepts any method.
    #[cfg(feature = "openapi")]
    #[must_use]
    pub fn openapi(&self, path: &str) -> utoipa::openapi::OpenApi {
        let headers: Vec<_> = self.0.headers().collect();
        crate::openapi::forward_auth(path, &headers)
    }
}

impl<B> Service<Request<B>> for ForwardAuth
where
    B: Body + Send + 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = ResponseFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let authenticator = Arc::clone(&self.0);
        ResponseFuture::new(async move {
            let (mut parts, body) = request.into_parts();
            let has_body = !body.is_end_stream();
            drop(body);
            request_id::assign(&mut parts.headers);
            let format = ResponseFormat::of(&parts.headers);
            let decided = decide(&authenticator, &mut parts).await;
            let mut response = decided.unwrap_or_else(|error| error.into_response(&format));
            format.write_headers(response.headers_mut());
            if has_body && parts.version <= Version::HTTP_11 {
                // A proxy may pass on the length of a body that it does not send. Then the next
                // request on this connection would be taken for the body.
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            Ok(response)
        })
    }
}

async fn decide(
    authenticator: &Authenticator,
    request: &mut Parts,
) -> Result<Response<Full<Bytes>>, ApiError> {
    let permissions = query::permissions(request.uri.query())?;
    let authenticated = authenticator.authenticate(request).await;
    let admitted = authenticated.and_then(|caller| {
        require(&caller, &permissions)?;
        Ok(caller)
    });
    let caller = admitted.map_err(|rejection| authenticator.to_api_error(&rejection))?;
    let mut response = Response::new(Full::default());
    write_identity(&caller, response.headers_mut())?;
    Ok(response)
}

/// Writes the headers that name the caller.
fn write_identity(caller: &Caller, headers: &mut HeaderMap) -> Result<(), ApiError> {
    let id = caller.key().map(KeyId::to_string).unwrap_or_default();
    let owner = caller.owner().map(Owner::as_str).unwrap_or_default();
    for (name, value) in [
        (ForwardAuth::KEY_ID, &*id),
        (ForwardAuth::WORKSPACE, caller.workspace().as_str()),
        (ForwardAuth::OWNER, owner),
        (ForwardAuth::ENVIRONMENT, caller.environment().as_str()),
    ] {
        // All of them are visible ASCII.
        let value = HeaderValue::try_from(value).map_err(|_| ApiError::internal())?;
        headers.insert(name, value);
    }
    Ok(())
}
