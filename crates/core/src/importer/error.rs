//! Errors of an import.

use crate::{IssueError, KeyId, foreign::ForeignHashError};

/// An error from the import of one key. It contains no part of a token or a hash.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The line is not a JSON object.
    #[error("not a JSON object")]
    NotAnObject,
    /// The object has two members of this name.
    #[error("{0} is given twice")]
    DuplicateField(String),
    /// The object has a member that no key has.
    #[error("{0} is not a field of a key")]
    UnknownField(String),
    /// A field is missing or invalid.
    #[error("{field}: {reason}")]
    Invalid {
        /// The name of the field.
        field: &'static str,
        /// The reason why it is invalid.
        reason: String,
    },
    /// The hash or the public part is invalid.
    #[error("{field}: {0}", field = .0.field())]
    Hash(#[from] ForeignHashError),
    /// A key with this token is present, and its content differs, perhaps because it was changed
    /// after its import.
    #[error("{0} has this token, but its content differs")]
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
        let reason = reason.to_string();
        // Some reasons begin with the name of the field.
        let reason = match reason.strip_prefix(field) {
            Some(rest) => rest.trim_start().to_owned(),
            None => reason,
        };
        Self::Invalid { field, reason }
    }

    /// Whether the error concerns this key alone, so that other keys can still be imported. After
    /// any other error, such as one of the store, stop the import and repeat it later.
    #[must_use]
    pub const fn concerns_one_key(&self) -> bool {
        match self {
            Self::Issue(error) => matches!(
                error,
                IssueError::ExpiryPast | IssueError::ExpiryBeyondPolicy { .. }
            ),
            Self::NotAnObject
            | Self::DuplicateField(_)
            | Self::UnknownField(_)
            | Self::Invalid { .. }
            | Self::Hash(_)
            | Self::Different(_)
            | Self::Taken => true,
        }
    }
}
