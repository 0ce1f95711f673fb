//! Spans, of the level `debug`: they hold ids and what came of it, and nothing of a header or a body.

use http::{Response, StatusCode};
use keywright_core::{Caller, KeyId, Verified, Verifier, VerifyError};
use tracing::{
    Instrument, Span, debug_span,
    field::{Empty, display},
};

use crate::error::ApiError;

const OPERATION: &str = "API key operation";

/// Verifies a token. The span tells whose key it is and what came of it.
pub(crate) async fn verify(verifier: &Verifier, token: &[u8]) -> Result<Verified, VerifyError> {
    let span = debug_span!(
        "API key verification",
        key = Empty,
        workspace = Empty,
        outcome = Empty
    );
    let verified = verifier.verify(token).instrument(span.clone()).await;
    if span.is_disabled() {
        return verified;
    }
    match &verified {
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
    verified
}

/// Does what an endpoint is for. The span tells of which key and how it was answered, and who asked
/// once [`asked_by`] has told.
pub(crate) async fn operation<B>(
    operation: &'static str,
    key: Option<KeyId>,
    work: impl Future<Output = Result<Response<B>, ApiError>>,
) -> Result<Response<B>, ApiError> {
    let span = debug_span!(
        OPERATION,
        operation,
        key = key.map(display),
        caller = Empty,
        workspace = Empty,
        status = Empty
    );
    let answer = work.instrument(span.clone()).await;
    let status = answer
        .as_ref()
        .map_or_else(ApiError::status, Response::status);
    span.record("status", StatusCode::as_u16(&status));
    answer
}

/// Tells who has asked for the operation that is being done.
pub(crate) fn asked_by(caller: &Caller) {
    let span = Span::current();
    // Where the level is off, this is a span of the host's, whose fields are its own.
    let is_ours = |name: &str, target: &str| name == OPERATION && target == module_path!();
    if span
        .metadata()
        .is_some_and(|of| is_ours(of.name(), of.target()))
    {
        if let Some(key) = caller.key() {
            span.record("caller", display(key));
        }
        span.record("workspace", display(caller.workspace()));
    }
}
