//! Errors of an import.

use crate::{IssueError, KeyId, foreign::ForeignHashError};

/// An error from the import of one key. It contains no part of a token or a hash.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The line is not a JSON object.
    #[error("the line is not a JSON object")]
    NotAnObject,
    /// The object has a member that no key has.
    #[error("{0} is not a field of a key")]
    UnknownField(String),
    /// A field is missing or invalid.
    #[error("{field} {reason}")]
    Invalid {
        /// The name of the field.
        field: &'static str,
        /// The problem.
        reason: String,
    },
    /// The hash is invalid.
    #[error("hash: {0}")]
    Hash(#[from] ForeignHashError),
    /// A key with this token is present, and differs from the one to import, or was changed since.
    #[error("{0} has this token and differs")]
    Different(KeyId),
    /// A key of another workspace has this token.
    #[error("a key of another workspace has this token")]
    Taken,
    /// The key could not be created.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

impl ImportError {
    pub(super) fn invalid(field: &'static str, reason: impl ToString) -> Self {
        Self::Invalid {
            field,
            reason: reason.to_string(),
        }
    }
}
