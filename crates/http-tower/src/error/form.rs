//! What a request says about the form of its answer.

use http::{HeaderMap, HeaderValue, header};

use crate::request_id::{self, request_id};

/// What the headers of a request say about the form of its answer.
pub(crate) struct AnswerForm {
    pub(super) request_id: HeaderValue,
    pub(super) problem: bool,
}

impl AnswerForm {
    pub(crate) fn of(request: &HeaderMap) -> Self {
        Self {
            request_id: request_id(request),
            problem: accepts_problem_json(request),
        }
    }

    /// Adds what every answer has.
    pub(crate) fn mark(&self, headers: &mut HeaderMap) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(request_id::HEADER, self.request_id.clone());
    }
}

fn accepts_problem_json(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|accept| accept.to_str().ok())
        .flat_map(|accept| accept.split(','))
        .filter_map(|range| range.split(';').next())
        .any(|range| {
            range
                .trim()
                .eq_ignore_ascii_case("application/problem+json")
        })
}
