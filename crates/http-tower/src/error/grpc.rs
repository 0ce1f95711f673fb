//! Error responses to gRPC calls, whose clients do not read JSON.

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, Response, StatusCode, Version, header, request::Parts,
};
use http_body_util::Full;

use super::{api_error::ApiError, format::ResponseFormat};

/// Whether a request is a gRPC call: a POST over HTTP/2 with the type `application/grpc`, with or
/// without a message format (`+proto`).
pub(crate) fn is_grpc_call(request: &Parts) -> bool {
    let media_type = request.headers.get(header::CONTENT_TYPE);
    let is_grpc = media_type
        .and_then(|media_type| media_type.as_bytes().strip_prefix(b"application/grpc"))
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')));
    is_grpc && request.method == Method::POST && request.version == Version::HTTP_2
}

impl ApiError {
    /// Builds the response to a gRPC call: a status without a message (gRPC over HTTP/2,
    /// "Trailers-Only").
    pub(crate) fn into_grpc_response(self, format: &ResponseFormat) -> Response<Full<Bytes>> {
        let status = HeaderValue::from(grpc_status(self.status()));
        // The messages of the layer are plain ASCII. Any other would have to be percent-encoded.
        let message = HeaderValue::try_from(self.message()).ok();
        let mut response = Response::new(Full::default());
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/grpc"),
        );
        headers.insert(HeaderName::from_static("grpc-status"), status);
        headers.extend(message.map(|message| (HeaderName::from_static("grpc-message"), message)));
        headers.extend(self.into_header());
        format.write_headers(headers);
        response
    }
}

/// Maps an HTTP status to a gRPC status (`google.rpc.Code`).
const fn grpc_status(status: StatusCode) -> u16 {
    match status {
        StatusCode::BAD_REQUEST => 3,          // INVALID_ARGUMENT
        StatusCode::FORBIDDEN => 7,            // PERMISSION_DENIED
        StatusCode::SERVICE_UNAVAILABLE => 14, // UNAVAILABLE
        StatusCode::UNAUTHORIZED => 16,        // UNAUTHENTICATED
        _ => 13,                               // INTERNAL
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Request};

    use super::*;

    fn request(method: Method, version: Version, media_type: &'static str) -> Parts {
        let (mut parts, ()) = Request::new(()).into_parts();
        (parts.method, parts.version) = (method, version);
        let media_type = HeaderValue::from_static(media_type);
        parts.headers.insert(header::CONTENT_TYPE, media_type);
        parts
    }

    #[test]
    fn a_grpc_call_has_the_grpc_type_and_not_that_of_grpc_web() {
        let (parts, ()) = Request::new(()).into_parts();
        assert!(!is_grpc_call(&parts));
        for (media_type, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;x=y", true),
            ("application/grpc-web", false),
            ("application/grpc-web+proto", false),
            ("application/json", false),
        ] {
            let call = request(Method::POST, Version::HTTP_2, media_type);
            assert_eq!(is_grpc_call(&call), expected, "{media_type}");
        }
    }

    #[test]
    fn a_grpc_call_is_a_post_over_http_2() {
        for (method, version) in [
            (Method::GET, Version::HTTP_2),
            (Method::POST, Version::HTTP_11),
            (Method::POST, Version::HTTP_10),
        ] {
            let call = request(method, version, "application/grpc");
            assert!(!is_grpc_call(&call), "{call:?}");
        }
    }

    #[test]
    fn an_undecided_outcome_is_unavailable_and_a_bug_is_internal() {
        for (error, status) in [
            (ApiError::unavailable("later"), "14"),
            (ApiError::internal(), "13"),
        ] {
            let response = error.into_grpc_response(&ResponseFormat::of(&HeaderMap::new()));
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.headers()["grpc-status"], status);
            assert_eq!(response.headers()["content-type"], "application/grpc");
        }
    }
}
