//! The errors of the store, and the [`StoreErrorKind`] that each is reported as.

use std::{error, fmt};

use keywright_core::store::{Reactivation, StoreError, StoreErrorKind};
use redis::RedisError;

use crate::record::{DecodeError, layout::FORMAT_VERSION};

const BACKEND: &str = "redis";

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// An error from [`RedisStore::connect`](crate::RedisStore::connect).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A URL is not a Redis URL, or asks for TLS without the feature `tls`.
    #[error("not a Redis URL: use redis://HOST:PORT, rediss://HOST:PORT or redis+unix:///PATH")]
    Url(#[source] RedisError),
    /// The namespace is not 1 to 32 characters of `a-z0-9_-`.
    #[error("the namespace must be 1 to 32 characters of a-z, 0-9, _ and -")]
    Namespace,
    /// No server accepted a connection and the user before the deadline.
    #[error("no Redis server can be used")]
    Unreachable(#[source] Box<dyn error::Error + Send + Sync>),
    /// A server is configured in a way that loses writes.
    #[error(transparent)]
    Unfit(Unfit),
    /// A newer program has written to this store.
    #[error(
        "the store has format {found} and this program supports {FORMAT_VERSION}: use a newer program"
    )]
    NewerFormat {
        /// The format of the store.
        found: String,
    },
    /// The store's thread could not be started.
    #[error("could not start the thread of the store: raise the user's thread limit")]
    Threads(#[source] std::io::Error),
}

/// The reason why a server is not suitable as a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// The server evicts keys when its memory is full. An evicted record is lost, whether or not
    /// its key was revoked.
    #[error(
        "the Redis server evicts keys when its memory is full: set maxmemory-policy to noeviction instead of {policy}"
    )]
    Evicts {
        /// The server's `maxmemory-policy`.
        policy: String,
    },
    /// The server has no append-only file. A restart restores an older state, in which keys that
    /// were revoked since are active.
    #[error(
        "the Redis server loses writes when it restarts: set appendonly to yes, and appendfsync to always if no acknowledged write may be lost"
    )]
    NoAppendOnlyFile,
}

/// The error of an operation that was not done, or may not have been done.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Error {
    /// The server could not be reached, closed the connection or returned an error.
    #[error("{}", OneLine(.0))]
    Redis(RedisError),
    /// The server is not suitable as a store.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The server has restarted and is still reading its data.
    #[error("the server is still loading its data")]
    Loading,
    /// Too many walks of the workspace are waiting.
    #[error("too many lists, cascades or purges of the workspace are waiting: retry later")]
    Busy,
    /// The server's data is not the data that it had at the last heartbeat.
    #[error("the server's data was replaced")]
    DataReplaced,
    /// The operation does not apply to the record's state.
    #[error("{0}")]
    Rejected(StoreErrorKind),
    /// A stored record cannot be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A stored record or event cannot be read.
    #[error("{id} cannot be read")]
    Unreadable { id: String, source: Box<Error> },
    /// The import would make a revoked key active again.
    #[error(transparent)]
    Reactivation(#[from] Reactivation),
    /// The server's reply has a type or content that the command never returns.
    #[error("the server returned a malformed {0}")]
    Malformed(&'static str),
    /// The server did not reply before the deadline.
    #[error("the server did not reply in time")]
    TimedOut,
    /// The operation was done, but too few replicas confirmed it.
    #[error("fewer than {wanted} replicas have confirmed the change")]
    NotConfirmed { wanted: u32 },
    /// The slot map has no server for a slot.
    #[error("no server of the cluster has the slot")]
    NoServer,
    /// The successor of a rotation has another routing tag than its predecessor, so that the two
    /// are not on one server.
    #[error("a successor must have the routing tag of its predecessor")]
    SuccessorRoutingTag,
    /// A field of the record is longer than the format allows.
    #[error("the record is larger than the format allows")]
    TooLarge,
    /// The store was dropped during the operation, or the operation panicked.
    #[error("the operation panicked or the store was dropped")]
    Stopped,
}

impl Error {
    pub(crate) fn kind(&self) -> StoreErrorKind {
        match self {
            Self::Rejected(kind) => *kind,
            Self::Decode(_) | Self::Malformed(_) => StoreErrorKind::Corrupt,
            Self::Unreadable { source, .. } => source.kind(),
            Self::Reactivation(_) => StoreErrorKind::Conflict,
            Self::Redis(error) if error.code() == Some("WRONGTYPE") => StoreErrorKind::Corrupt,
            Self::NotConfirmed { .. } => StoreErrorKind::NotConfirmed,
            _ => StoreErrorKind::Unavailable,
        }
    }

    /// The error of a record or an event, with its id.
    pub(crate) fn unreadable(id: &impl fmt::Display, source: Self) -> Self {
        Self::Unreadable {
            id: id.to_string(),
            source: Box::new(source),
        }
    }

    /// Whether the error is in the stored data, as opposed to the server.
    pub(crate) fn is_corrupt(&self) -> bool {
        self.kind() == StoreErrorKind::Corrupt
    }

    /// Whether a command failed because its slot is being migrated and its keys are on two servers.
    pub(crate) fn is_split(&self) -> bool {
        matches!(self, Self::Redis(error) if error.code() == Some("TRYAGAIN"))
    }

    /// Whether a script failed because its keys are in several slots, and the server does not have
    /// all of them.
    pub(crate) fn is_across_slots(&self) -> bool {
        matches!(self, Self::Redis(error) if error.code() == Some("CROSSSLOT"))
    }

    /// Whether the server has rejected a write because its memory is full.
    pub(crate) fn is_out_of_memory(&self) -> bool {
        matches!(self, Self::Redis(error) if error.code() == Some("OOM"))
    }

    /// Whether the server does not know a command, or does not permit it to the user.
    pub(crate) fn is_unsupported(&self) -> bool {
        matches!(self, Self::Redis(error) if matches!(error.code(), Some("ERR" | "NOPERM")))
    }

    /// Whether a write failed because the server is a replica.
    pub(crate) fn is_read_only(&self) -> bool {
        matches!(self, Self::Redis(error) if error.code() == Some("READONLY"))
    }
}

impl From<RedisError> for Error {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

impl From<StoreErrorKind> for Error {
    fn from(kind: StoreErrorKind) -> Self {
        Self::Rejected(kind)
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let outer = Self::new(error.kind(), BACKEND);
        match error {
            Error::Rejected(_) => outer,
            Error::Unfit(source) => outer.with_source(source),
            Error::Decode(source) => outer.with_source(source),
            Error::Reactivation(source) => outer.with_source(source),
            own => outer.with_source(own),
        }
    }
}

/// Displays a server's error on one line, as logs need it, even if the server's text has several.
struct OneLine<'a>(&'a RedisError);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, line) in self.0.to_string().lines().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(line)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use redis::ErrorKind;

    use super::*;

    #[test]
    fn a_server_error_is_displayed_on_one_line() {
        let parts = (
            ErrorKind::Extension,
            "first",
            "second\r\nthird\n\nfourth".into(),
        );
        let text = Error::from(RedisError::from(parts)).to_string();
        assert!(text.ends_with("second third  fourth"), "{text}");
        assert!(text.starts_with("first"), "{text}");
    }
}
