//! The errors of parsing, hashing and random bytes.
//!
//! Most programs propagate them with `?` and never name them. The errors that programs match on are
//! at the root of the crate: [`IssueError`](crate::IssueError), [`OpenError`](crate::OpenError) and
//! [`VerifyError`](crate::VerifyError).

// The public interface is:
pub use crate::{
    allowed_ips::AllowedIpsError,
    attributes::AttributesError,
    event::{EventIdError, EventPositionError, RequestIdError},
    hash::{Argon2ParamsError, HashError, PepperError},
    issuer::IdempotencyKeyError,
    metadata::MetadataError,
    name::NameError,
    owner::OwnerError,
    permission::PermissionError,
    random::RandomError,
    time::TimestampError,
    token::{EnvironmentError, KeyIdError, PrefixError, TokenError},
    workspace::WorkspaceError,
};
