//! Authentication of a request by its headers or by a `Caller` of the host.

use std::iter;

use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderName, Method, Response, header, request::Parts};
use http_body_util::Full;
use keywright_core::{Caller, Environment, Permission, Verified, Verifier, VerifyError};

use super::{Rejection, on_reject::OnReject};
use crate::{
    bounds::MAX_CREDENTIALS_LENGTH,
    client_ip::ClientIp,
    error::{ApiError, Challenge, ResponseFormat, causes, is_grpc_call},
    request_id, trace,
};

/// The settings of the layer, which authenticate a request and check its permission.
#[derive(Debug, Clone)]
pub(crate) struct Authenticator {
    pub(super) verifier: Verifier,
    pub(super) header: HeaderName,
    pub(super) other_headers: Vec<HeaderName>,
    pub(super) required: Option<Permission>,
    pub(super) environment: Option<Environment>,
    pub(super) challenge: Challenge,
    pub(super) is_optional: bool,
    pub(super) allow_preflight: bool,
    pub(super) for_grpc: bool,
    pub(super) on_reject: Option<OnReject>,
}

impl Authenticator {
    pub(crate) const fn challenge(&self) -> &Challenge {
        &self.challenge
    }

    /// The headers that may contain the token, the first one first.
    pub(crate) fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        iter::once(&self.header).chain(&self.other_headers)
    }

    /// Accepts a request to the host's routes, or returns the reason of the rejection.
    pub(super) async fn admit(&self, request: &mut Parts) -> Result<(), Rejection> {
        if self.allow_preflight && is_preflight(request) {
            self.mark_sensitive(&mut request.headers);
            remove_caller(&mut request.extensions);
            return Ok(());
        }
        match self.authenticate(request).await {
            Err(Rejection::Missing)
                if self.is_optional && !self.has_credentials(&request.headers) =>
            {
                remove_caller(&mut request.extensions);
                Ok(())
            }
            authenticated => authenticated.map(drop),
        }
    }

    /// Returns the caller, and puts it into the request's extensions. A [`Caller`] that the host
    /// has put there takes precedence over the header. A caller of another instance is removed.
    pub(crate) async fn authenticate(&self, request: &mut Parts) -> Result<Caller, Rejection> {
        self.mark_sensitive(&mut request.headers);
        self.remove_foreign(&mut request.extensions);
        let caller = match request.extensions.get::<Caller>() {
            Some(caller) if self.verifier.is_current(caller) => caller.clone(),
            Some(_) => return Err(Rejection::Denied),
            None => {
                let verified = self.verify(request).await?;
                let caller = verified.caller();
                request.extensions.insert(verified);
                caller
            }
        };
        let caller = with_request(caller, request);
        request.extensions.insert(caller.clone());
        if let Some(environment) = self.environment
            && caller.environment() != environment
        {
            return Err(Rejection::WrongEnvironment(environment));
        }
        require(&caller, &self.required)?;
        Ok(caller)
    }

    /// Verifies the token in the headers, and that it may be used from the client's address.
    async fn verify(&self, request: &Parts) -> Result<Verified, Rejection> {
        let token = self.token(&request.headers)?;
        let verified = match request.extensions.get::<ClientIp>() {
            Some(ClientIp(address)) => {
                trace::verification(self.verifier.verify_from(token, *address)).await
            }
            None => trace::verification(self.verifier.verify(token)).await,
        };
        verified.map_err(|error| {
            log(&error);
            error.into()
        })
    }

    /// Marks each value of a header that may contain a token as sensitive, so that a host that logs
    /// headers does not log the token. Clients send tokens in `Authorization` even to a layer that
    /// reads another header.
    fn mark_sensitive(&self, headers: &mut HeaderMap) {
        for (name, value) in headers.iter_mut() {
            if *name == header::AUTHORIZATION || self.headers().any(|header| header == name) {
                value.set_sensitive(true);
            }
        }
    }

    /// Removes the caller and the key that an outer layer of another
    /// [`Keywright`](keywright_core::Keywright) has verified. They are not valid here.
    fn remove_foreign(&self, extensions: &mut Extensions) {
        let caller = extensions.get::<Caller>();
        if caller.is_some_and(|caller| !self.verifier.trusts(caller)) {
            extensions.remove::<Caller>();
        }
        let verified = extensions.get::<Verified>();
        if verified.is_some_and(|verified| !self.verifier.has_verified(verified)) {
            extensions.remove::<Verified>();
        }
    }

    /// Converts a rejection, with the challenge of this service.
    pub(crate) fn to_api_error(&self, rejection: &Rejection) -> ApiError {
        self.challenge.rejection(rejection, self.headers())
    }

    /// Returns the response to a rejected request.
    pub(super) fn reject(&self, request: &Parts, rejection: &Rejection) -> Response<Full<Bytes>> {
        let error = self.to_api_error(rejection);
        let format = ResponseFormat::of(&request.headers);
        let response = if self.for_grpc && is_grpc_call(request) {
            error.into_grpc_response(&format)
        } else {
            error.into_response(&format)
        };
        match &self.on_reject {
            Some(change) => change.call(rejection, request, response),
            None => response,
        }
    }

    /// Whether a request has a header that may contain the token.
    fn has_credentials(&self, headers: &HeaderMap) -> bool {
        self.headers().any(|name| headers.contains_key(name))
    }

    fn token<'a>(&self, headers: &'a HeaderMap) -> Result<&'a [u8], Rejection> {
        let mut values = self.headers().flat_map(|name| {
            let values = headers.get_all(name).iter();
            values.map(move |value| (name, value.as_bytes()))
        });
        let (name, value) = values.next().ok_or(Rejection::Missing)?;
        if values.next().is_some() {
            return Err(Rejection::Ambiguous);
        }
        if value.len() > MAX_CREDENTIALS_LENGTH {
            return Err(Rejection::TooLong);
        }
        if *name == header::AUTHORIZATION {
            bearer(value).ok_or(Rejection::Missing)
        } else {
            Ok(value)
        }
    }
}

/// Checks that a caller has all of these permissions.
pub(crate) fn require<'a>(
    caller: &Caller,
    permissions: impl IntoIterator<Item = &'a Permission>,
) -> Result<(), Rejection> {
    let mut permissions = permissions.into_iter();
    match permissions.find(|permission| !caller.may(permission)) {
        Some(missing) => Err(Rejection::MissingPermission(missing.clone())),
        None => Ok(()),
    }
}

/// Sets the request of a caller, for the events of its changes, where the host has not set it.
fn with_request(mut caller: Caller, request: &Parts) -> Caller {
    if caller.request_id().is_none()
        && let Some(id) = request_id::assigned(&request.headers)
    {
        caller = caller.with_request_id(id);
    }
    if caller.client_ip().is_none()
        && let Some(ClientIp(address)) = request.extensions.get()
    {
        caller = caller.with_client_ip(address.to_canonical());
    }
    caller
}

/// Removes the caller from a request that the layer does not authenticate.
fn remove_caller(extensions: &mut Extensions) {
    extensions.remove::<Caller>();
    extensions.remove::<Verified>();
}

/// Logs why a token was not accepted. The response does not contain the reason.
fn log(error: &VerifyError) {
    match error {
        VerifyError::Denied(denied) => {
            let key = denied.id().map(tracing::field::display);
            tracing::info!(key, reason = %denied, "API key denied");
        }
        VerifyError::Undecided(undecided) => {
            tracing::error!(error = causes(undecided), "API key could not be verified");
        }
    }
}

/// Returns the token of `Bearer <token>` (RFC 6750, section 2.1), which may be empty. The scheme is
/// case-insensitive. Returns `None` for another scheme or a bare token, since neither is a
/// credential of this scheme (section 3.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_first_chunk::<6>()?;
    let token = rest.trim_ascii_start();
    let is_separate = rest.is_empty() || token.len() < rest.len();
    (scheme.eq_ignore_ascii_case(b"bearer") && is_separate).then_some(token)
}

/// Whether a request is a CORS preflight (Fetch standard, "CORS-preflight request").
fn is_preflight(request: &Parts) -> bool {
    request.method == Method::OPTIONS
        && request.headers.contains_key(header::ORIGIN)
        && request
            .headers
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_case_insensitive_and_ends_at_white_space() {
        for valid in ["Bearer x", "bearer x", "BEARER   x", "beaRer \tx"] {
            assert_eq!(bearer(valid.as_bytes()), Some(&b"x"[..]), "{valid}");
        }
        for empty in ["Bearer", "bearer ", "Bearer \t "] {
            assert_eq!(bearer(empty.as_bytes()), Some(&b""[..]), "{empty}");
        }
        for invalid in ["", "x", "Bearerx", "Basic x", "Bear er x", " Bearer x"] {
            assert_eq!(bearer(invalid.as_bytes()), None, "{invalid}");
        }
    }
}
