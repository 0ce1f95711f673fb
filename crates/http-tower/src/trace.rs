//! Spans of the level `debug`. They record ids and outcomes, and no part of a header or a body.

use http::{Response, StatusCode};
use keywright_core::{Caller, KeyId, Verified, VerifyError};
use tracing::{
    Instrument, Span, debug_span,
    field::{Empty, display},
};

use crate::error::ApiError;

const OPERATION: &str = "API key operation";

/// Wraps a verification in a span that records the key and the outcome.
pub(crate) async fn verification(
    verify: impl Future<Output = Result<Verified, VerifyError>>,
) -> Result<Verified, VerifyError> {
    let span = debug_span!(
        "API key verification",
        key = Empty,
        workspace = Empty,
        outcome = Empty
    );
    let result = verify.instrument(span.clone()).await;
    if span.is_disabled() {
        return result;
    }
    match &result {
        Ok(verified) => {
            let key = verified.key();
            span.record("key", display(&key.id));
            span.record("workspace", display(&key.workspace));
            span.record("outcome", "accepted");
        }
        Err(VerifyError::Denied(denied)) => {
            if let Some(id) = denied.id() {
                span.record("key", display(id));
            }
            span.record("outcome", display(denied));
        }
        Err(VerifyError::Undecided(undecided)) => {
            span.record("outcome", display(undecided));
        }
    }
    result
}

/// Wraps the handler of an endpoint in a span that records the key in the path and the status of
/// the response, and logs the cause of a failure that the host must fix. The handler adds its
/// caller with [`record_caller`], and a key that is not in the path with [`record_key`].
pub(crate) async fn operation<B>(
    operation: &'static str,
    key: Option<KeyId>,
    handler: impl Future<Output = Result<Response<B>, ApiError>>,
) -> Result<Response<B>, ApiError> {
    let span = debug_span!(
        OPERATION,
        operation,
        key = key.map(display),
        caller = Empty,
        workspace = Empty,
        status = Empty
    );
    let result = handler.instrument(span.clone()).await;
    if let Some(error) = result.as_ref().err().and_then(ApiError::cause) {
        let key = key.map(display);
        tracing::error!(operation, key, error, "API key operation failed");
    }
    let status = result
        .as_ref()
        .map_or_else(ApiError::status, Response::status);
    span.record("status", StatusCode::as_u16(&status));
    result
}

/// Records the key in the span of the current [`operation`].
pub(crate) fn record_key(key: &KeyId) {
    if let Some(span) = current_operation() {
        span.record("key", display(key));
    }
}

/// Records the caller in the span of the current [`operation`].
pub(crate) fn record_caller(caller: &Caller) {
    if let Some(span) = current_operation() {
        if let Some(key) = caller.key() {
            span.record("caller", display(key));
        }
        span.record("workspace", display(caller.workspace()));
    }
}

/// Returns the span of the current [`operation`]. Where the level `debug` is off, the current span
/// belongs to the host. It may have fields of the same names, which must stay as they are.
fn current_operation() -> Option<Span> {
    let span = Span::current();
    let is_operation = span.metadata().is_some_and(|metadata| {
        metadata.name() == OPERATION && metadata.target() == module_path!()
    });
    is_operation.then_some(span)
}
