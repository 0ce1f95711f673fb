//! Protection of session cookies: a browser sends them with requests that other sites cause.

use http::{
    HeaderMap, HeaderName, Method, StatusCode,
    header::{HOST, ORIGIN},
    request::Parts,
    uri::Authority,
};
use keywright_core::Caller;

use super::body::is_json;
use crate::error::ApiError;

/// How the browser relates the page that makes a request to the server (Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Rejects a request that changes something in the session of a browser, unless a page of the same
/// origin has made it.
///
/// A request whose caller is a key passes: no other site can make a browser send the token.
pub(super) fn check(parts: &Parts) -> Result<(), ApiError> {
    let is_safe = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let caller = parts.extensions.get::<Caller>();
    let is_session = caller.is_some_and(|caller| caller.key().is_none());
    if is_safe || !is_session {
        return Ok(());
    }
    if !is_same_origin(parts) {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "cross_origin",
            "in a session, only pages of the same origin may make changes",
        ));
    }
    if !is_json(&parts.headers) {
        return Err(ApiError::unsupported_media_type());
    }
    Ok(())
}

/// Whether the page that makes the request has the origin of the server. Browsers send
/// `Sec-Fetch-Site` only over TLS and to the local machine, and old ones never. Without it, the
/// authority in `Origin` must be that of the request. The scheme is not compared, because a proxy
/// that terminates TLS hides it.
fn is_same_origin(parts: &Parts) -> bool {
    let headers = &parts.headers;
    if headers.contains_key(SEC_FETCH_SITE) {
        return single(headers, &SEC_FETCH_SITE) == Some("same-origin");
    }
    let Some((scheme, origin)) = single(headers, &ORIGIN).and_then(|text| text.split_once("://"))
    else {
        return false;
    };
    let default_port = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return false,
    };
    let host = match parts.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => single(headers, &HOST),
    };
    let parse = |text: &str| {
        let authority: Authority = text.parse().ok()?;
        let port = authority.port_u16().unwrap_or(default_port);
        Some((authority.host().to_ascii_lowercase(), port))
    };
    let origin = parse(origin);
    origin.is_some() && origin == host.and_then(parse)
}

/// Returns the value of a header that is sent once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}
