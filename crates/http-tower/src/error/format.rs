//! The format of a response, which the headers of the request select.

use http::{HeaderMap, HeaderValue, header};

use crate::request_id::{self, request_id};

/// The format of the response to a request.
pub(crate) struct ResponseFormat {
    pub(super) request_id: HeaderValue,
    /// Whether an error has the format of RFC 9457.
    pub(super) problem: bool,
}

impl ResponseFormat {
    /// Reads the format from the headers of a request.
    pub(crate) fn of(request: &HeaderMap) -> Self {
        Self {
            request_id: request_id(request),
            problem: accepts_problem_json(request),
        }
    }

    /// Adds the headers of every response.
    pub(crate) fn write_headers(&self, headers: &mut HeaderMap) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(request_id::HEADER, self.request_id.clone());
    }
}

/// Whether `Accept` names the type of RFC 9457, with at least the weight of `application/json`
/// (RFC 9110, section 12.5.1).
fn accepts_problem_json(headers: &HeaderMap) -> bool {
    let weight = |wanted: &str| {
        let weights = headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|accept| accept.to_str().ok())
            .flat_map(|accept| accept.split(','))
            .filter_map(|range| {
                let mut parts = range.split(';').map(str::trim);
                let matches = parts.next()?.eq_ignore_ascii_case(wanted);
                let weight = parts
                    .find_map(|part| part.strip_prefix(['q', 'Q'])?.strip_prefix('='))
                    .unwrap_or("1");
                matches.then(|| weight.parse().unwrap_or(0.0))
            });
        weights.fold(0.0, f32::max)
    };
    let problem = weight("application/problem+json");
    problem > 0.0 && problem >= weight("application/json")
}
