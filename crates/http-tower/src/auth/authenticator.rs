//! Who is calling, by the headers of a request.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Response, header, request::Parts};
use http_body_util::Full;
use keywright_core::{Caller, Permission, Verifier};

use crate::{
    error::{AnswerForm, ApiError, Challenge, grpc},
    trace,
};

/// Largest header that may hold a token, in bytes.
const MAX_HEADER_LENGTH: usize = 512;

/// Finds out who is calling, and whether they have the permission that is demanded.
#[derive(Debug, Clone)]
pub(crate) struct Authenticator {
    pub(super) verifier: Verifier,
    pub(super) header: HeaderName,
    pub(super) required: Option<Permission>,
    pub(super) challenge: Challenge,
    pub(super) for_grpc: bool,
}

impl Authenticator {
    pub(crate) const fn challenge(&self) -> &Challenge {
        &self.challenge
    }

    /// The header that tokens are read from.
    #[cfg(feature = "openapi")]
    pub(crate) const fn header(&self) -> &HeaderName {
        &self.header
    }

    /// Puts the [`Caller`] into the request's extensions, unless the host has put one there: then
    /// that counts, and the header is not looked at.
    pub(crate) async fn authenticate(&self, request: &mut Parts) -> Result<Caller, ApiError> {
        if let Some(value) = request.headers.get_mut(&self.header) {
            // Whoever prints the headers on their way to the host does not print the token.
            value.set_sensitive(true);
        }
        let caller = match request.extensions.get::<Caller>() {
            Some(caller) if self.verifier.is_current(caller) => caller.clone(),
            Some(_) => return Err(self.challenge.invalid_token()),
            None => {
                let token = self.token(&request.headers)?;
                let verified = trace::verify(&self.verifier, token).await;
                let verified = verified.map_err(|error| self.challenge.verification(&error))?;
                let caller = verified.caller();
                request.extensions.insert(caller.clone());
                request.extensions.insert(verified);
                caller
            }
        };
        match &self.required {
            Some(permission) if !caller.may(permission) => {
                Err(self.challenge.insufficient_scope(permission))
            }
            _ => Ok(caller),
        }
    }

    /// The answer to a request that is not let through.
    pub(super) fn refuse(&self, request: &Parts, error: ApiError) -> Response<Full<Bytes>> {
        let form = AnswerForm::of(&request.headers);
        if self.for_grpc && grpc::is_call(request) {
            error.into_grpc_response(&form)
        } else {
            error.into_response(&form)
        }
    }

    fn token<'a>(&self, headers: &'a HeaderMap) -> Result<&'a [u8], ApiError> {
        let mut values = headers.get_all(&self.header).iter();
        let value = values
            .next()
            .ok_or_else(|| self.challenge.missing_token())?
            .as_bytes();
        if values.next().is_some() {
            return Err(self
                .challenge
                .invalid_request("more than one API key was sent"));
        }
        if value.len() > MAX_HEADER_LENGTH {
            return Err(self
                .challenge
                .invalid_request("the header with the API key is too long"));
        }
        if self.header == header::AUTHORIZATION {
            bearer(value).ok_or_else(|| self.challenge.invalid_token())
        } else {
            Ok(value)
        }
    }
}

/// The token of `Bearer <token>` (RFC 6750, section 2.1); the scheme is case-insensitive.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_first_chunk::<6>()?;
    let token = rest.trim_ascii_start();
    (scheme.eq_ignore_ascii_case(b"bearer") && token.len() < rest.len()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_has_any_case_and_a_space_after_it() {
        for good in ["Bearer x", "bearer x", "BEARER   x", "beaRer \tx"] {
            assert_eq!(bearer(good.as_bytes()), Some(&b"x"[..]), "{good}");
        }
        for bad in ["", "Bearer", "Bearerx", "Basic x", "Bear er x", " Bearer x"] {
            assert_eq!(bearer(bad.as_bytes()), None, "{bad}");
        }
    }
}
