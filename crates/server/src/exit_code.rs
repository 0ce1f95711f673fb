//! The exit codes of errors.

use std::process::ExitCode;

use anyhow::Error;
use keywright_core::store::{StoreError, StoreErrorKind};
use keywright_store_redis::OpenError as RedisError;
use tokio::time::error::Elapsed;

/// An error after which it is unknown whether the command would have succeeded.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Undetermined(pub(crate) String);

/// Returns 3 if an error leaves the result undetermined, because the store was unavailable or did
/// not respond in time, and otherwise 1.
pub(crate) fn of_error(error: &Error) -> ExitCode {
    let is_undetermined = |cause: &(dyn std::error::Error + 'static)| {
        let store: Option<&StoreError> = cause.downcast_ref();
        let unavailable = [StoreErrorKind::Unavailable, StoreErrorKind::NotConfirmed];
        store.is_some_and(|error| unavailable.contains(&error.kind()))
            || matches!(cause.downcast_ref(), Some(RedisError::Unreachable(_)))
            || cause.is::<Undetermined>()
            || cause.is::<Elapsed>()
    };
    ExitCode::from(if error.chain().any(is_undetermined) {
        3
    } else {
        1
    })
}
