//! What can go wrong, and which [`StoreError`] it is.

use std::{error, fmt};

use keywright_core::{StoreError, StoreErrorKind};
use redis::RedisError;

use crate::{record::Unreadable, server::Unfit};

const BACKEND: &str = "redis";

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation was not done, or may not have been.
#[derive(Debug, Clone)]
pub(crate) enum Error {
    /// The server could not be reached, has lost the connection or has refused.
    Redis(RedisError),
    /// The server does not keep what it is given.
    Unfit(Unfit),
    /// The server has started, and does not have all yet that it keeps.
    Loading,
    /// The record is in another state than the operation needs; nothing has gone wrong.
    Refused(StoreErrorKind),
    /// What is stored cannot be read back.
    Unreadable(Unreadable),
    /// The server has answered with something that the command does not answer with.
    Unexpected(&'static str),
    /// There was no answer before the deadline.
    TimedOut,
    /// It was done, but fewer replicas than asked for have said that they have it.
    NotConfirmed { wanted: u32 },
    /// A server of the cluster is not known for a slot.
    NoServer,
    /// The successor of a rotation has another routing tag, so that both are not on one server.
    ForeignSuccessor,
    /// The record is larger than the format allows.
    TooLarge,
    /// The store was dropped meanwhile.
    Ended,
}

impl Error {
    pub(crate) fn kind(&self) -> StoreErrorKind {
        match self {
            Self::Refused(kind) => *kind,
            Self::Unreadable(_) | Self::Unexpected(_) => StoreErrorKind::Corrupt,
            Self::Redis(error) if error.code() == Some("WRONGTYPE") => StoreErrorKind::Corrupt,
            Self::NotConfirmed { .. } => StoreErrorKind::NotConfirmed,
            _ => StoreErrorKind::Unavailable,
        }
    }

    /// Whether what is stored has something about it, and the server has not.
    pub(crate) fn is_corrupt(&self) -> bool {
        self.kind() == StoreErrorKind::Corrupt
    }

    /// Whether the keys of a command are on two servers at this moment.
    pub(crate) fn is_split(&self) -> bool {
        matches!(self, Self::Redis(error) if error.code() == Some("TRYAGAIN"))
    }

    /// Whether the server is a replica.
    pub(crate) fn is_read_only(&self) -> bool {
        matches!(self, Self::Redis(error) if error.code() == Some("READONLY"))
    }
}

impl From<RedisError> for Error {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

impl From<Unfit> for Error {
    fn from(unfit: Unfit) -> Self {
        Self::Unfit(unfit)
    }
}

impl From<StoreErrorKind> for Error {
    fn from(kind: StoreErrorKind) -> Self {
        Self::Refused(kind)
    }
}

impl From<Unreadable> for Error {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unreadable(unreadable)
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let outer = Self::new(error.kind(), BACKEND);
        match error {
            Error::Refused(_) => outer,
            Error::Unfit(source) => outer.with_source(source),
            Error::Unreadable(source) => outer.with_source(source),
            own => outer.with_source(own),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redis(error) => write_line(f, error),
            Self::Unfit(unfit) => unfit.fmt(f),
            Self::Loading => f.write_str("the server is still loading what it keeps"),
            Self::Refused(kind) => kind.fmt(f),
            Self::Unreadable(unreadable) => unreadable.fmt(f),
            Self::Unexpected(what) => write!(f, "the server's answer is no {what}"),
            Self::TimedOut => f.write_str("the server has not answered in time"),
            Self::NotConfirmed { wanted } => {
                write!(f, "fewer than {wanted} replicas have confirmed")
            }
            Self::NoServer => f.write_str("no server of the cluster has the slot"),
            Self::ForeignSuccessor => {
                f.write_str("a successor must have the routing tag of its predecessor")
            }
            Self::TooLarge => f.write_str("the record is larger than the format allows"),
            Self::Ended => f.write_str("the operation panicked or the store was dropped"),
        }
    }
}

/// What a server says may have line breaks, and a log has one line for it.
fn write_line(f: &mut fmt::Formatter<'_>, error: &RedisError) -> fmt::Result {
    for (index, line) in error.to_string().lines().enumerate() {
        if index > 0 {
            f.write_str(" ")?;
        }
        f.write_str(line)?;
    }
    Ok(())
}

impl error::Error for Error {}

#[cfg(test)]
mod tests {
    use redis::ErrorKind;

    use super::*;

    #[test]
    fn what_a_server_says_is_told_in_one_line() {
        let said = (
            ErrorKind::Extension,
            "first",
            "second\r\nthird\n\nfourth".into(),
        );
        let told = Error::from(RedisError::from(said)).to_string();
        assert!(told.ends_with("second third  fourth"), "{told}");
        assert!(told.starts_with("first"), "{told}");
    }
}
