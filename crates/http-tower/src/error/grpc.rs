//! Error answers to gRPC calls, which take no JSON.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

use super::{AnswerForm, ApiError};

/// Whether a request is a gRPC call: `application/grpc`, alone or with a format (`+proto`).
pub(super) fn is_call(request: &HeaderMap) -> bool {
    let media_type = request.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    media_type
        .and_then(|media_type| media_type.strip_prefix(b"application/grpc"))
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

impl ApiError {
    /// The answer of a guard in front of somebody else's service: to a gRPC call a status without a
    /// message (gRPC over HTTP/2, "Trailers-Only"), to every other request what the API answers.
    pub(crate) fn into_guard_response(self, request: &HeaderMap) -> Response<Full<Bytes>> {
        let form = AnswerForm::of(request);
        if !is_call(request) {
            return self.into_response(&form);
        }
        let status = HeaderValue::from(code(self.0.status));
        // The messages of refusals are plain ASCII; one that is not would have to be encoded.
        let message = HeaderValue::try_from(self.0.message.as_ref()).ok();
        let mut response = Response::new(Full::default());
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/grpc"),
        );
        headers.insert(HeaderName::from_static("grpc-status"), status);
        headers.extend(message.map(|message| (HeaderName::from_static("grpc-message"), message)));
        headers.extend(self.0.header);
        form.mark(headers);
        response
    }
}

/// The code of a status (google.rpc.Code).
const fn code(status: StatusCode) -> u16 {
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
    use super::*;

    #[test]
    fn a_grpc_call_is_known_by_its_type_and_grpc_web_is_none() {
        let mut headers = HeaderMap::new();
        assert!(!is_call(&headers));
        for (media_type, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;x=y", true),
            ("application/grpc-web", false),
            ("application/grpc-web+proto", false),
            ("application/json", false),
        ] {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
            assert_eq!(is_call(&headers), expected, "{media_type}");
        }
    }

    #[test]
    fn what_could_not_be_decided_is_unavailable_and_what_is_broken_internal() {
        let mut call = HeaderMap::new();
        let grpc = HeaderValue::from_static("application/grpc+proto");
        call.insert(header::CONTENT_TYPE, grpc);
        for (error, status) in [
            (ApiError::unavailable("later"), "14"),
            (ApiError::internal(), "13"),
        ] {
            let response = error.into_guard_response(&call);
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.headers()["grpc-status"], status);
            assert_eq!(response.headers()["content-type"], "application/grpc");
        }
    }
}
