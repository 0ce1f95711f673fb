//! Authentication of a request by its headers or by a `Caller` of the host.

use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderName, Method, Response, header, request::Parts};
use http_body_util::Full;
use keywright_core::{Caller, Environment, Permission, Verified, Verifier};

use crate::{
    bounds::MAX_CREDENTIALS_LENGTH,
    error::{ApiError, Challenge, ResponseFormat, is_grpc_call},
    trace,
};

/// The settings of the layer, which authenticate a request and check its permission.
#[derive(Debug, Clone)]
pub(crate) struct Authenticator {
    pub(super) verifier: Verifier,
    pub(super) header: HeaderName,
    pub(super) required: Option<Permission>,
    pub(super) environment: Option<Environment>,
    pub(super) challenge: Challenge,
    pub(super) allow_preflight: bool,
    pub(super) for_grpc: bool,
}

impl Authenticator {
    pub(crate) const fn challenge(&self) -> &Challenge {
        &self.challenge
    }

    /// The header that contains the token.
    #[cfg(feature = "openapi")]
    pub(crate) const fn header(&self) -> &HeaderName {
        &self.header
    }

    /// Accepts a request to the host's routes, or returns the error of the rejection.
    pub(super) async fn admit(&self, request: &mut Parts) -> Result<(), ApiError> {
        if self.allow_preflight && is_preflight(request) {
            self.mark_sensitive(&mut request.headers);
            // The layer does not authenticate this request, so no caller may remain in it.
            request.extensions.remove::<Caller>();
            request.extensions.remove::<Verified>();
            return Ok(());
        }
        self.authenticate(request).await.map(drop)
    }

    /// Returns the caller, and puts it into the request's extensions. A [`Caller`] that the host
    /// has put there takes precedence over the header. A caller of another instance is removed.
    pub(crate) async fn authenticate(&self, request: &mut Parts) -> Result<Caller, ApiError> {
        self.mark_sensitive(&mut request.headers);
        self.remove_foreign(&mut request.extensions);
        let caller = match request.extensions.get::<Caller>() {
            Some(caller) if self.verifier.is_current(caller) => caller.clone(),
            Some(_) => return Err(self.challenge.invalid_token()),
            None => {
                let token = self.token(&request.headers)?;
                let verified = trace::verification(self.verifier.verify(token)).await;
                let verified = verified.map_err(|error| self.challenge.verify_error(&error))?;
                let caller = verified.caller();
                request.extensions.insert(caller.clone());
                request.extensions.insert(verified);
                caller
            }
        };
        if let Some(environment) = self.environment
            && caller.environment() != environment
        {
            return Err(self.challenge.wrong_environment(environment));
        }
        match &self.required {
            Some(permission) if !caller.may(permission) => {
                Err(self.challenge.insufficient_scope(permission))
            }
            _ => Ok(caller),
        }
    }

    /// Marks each value of a header that may contain a token as sensitive, so that a host that logs
    /// headers does not log the token. Clients send tokens in `Authorization` even to a layer that
    /// reads another header.
    fn mark_sensitive(&self, headers: &mut HeaderMap) {
        for (name, value) in headers.iter_mut() {
            if *name == self.header || *name == header::AUTHORIZATION {
                value.set_sensitive(true);
            }
        }
    }

    /// Removes a caller and a key that the layer of another
    /// [`Keywright`](keywright_core::Keywright), outside this layer, has verified. Its keys are not
    /// valid here.
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

    /// Returns the response to a request that is rejected with `error`.
    pub(super) fn reject(&self, request: &Parts, error: ApiError) -> Response<Full<Bytes>> {
        let format = ResponseFormat::of(&request.headers);
        if self.for_grpc && is_grpc_call(request) {
            error.into_grpc_response(&format)
        } else {
            error.into_response(&format)
        }
    }

    fn token<'a>(&self, headers: &'a HeaderMap) -> Result<&'a [u8], ApiError> {
        let mut values = headers.get_all(&self.header).iter();
        let value = values
            .next()
            .ok_or_else(|| self.challenge.missing_token(&self.header))?
            .as_bytes();
        if values.next().is_some() {
            return Err(self
                .challenge
                .invalid_request("more than one API key was sent"));
        }
        if value.len() > MAX_CREDENTIALS_LENGTH {
            return Err(self
                .challenge
                .invalid_request("the header with the API key is too long"));
        }
        if self.header == header::AUTHORIZATION {
            bearer(value).ok_or_else(|| self.challenge.missing_token(&self.header))
        } else {
            Ok(value)
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
