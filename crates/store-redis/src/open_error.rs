//! Why a store could not be opened.

use std::{error, fmt};

use redis::RedisError;

use crate::{record, server::Unfit};

/// Why a store could not be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// A URL is none of Redis, or one of TLS without the feature `tls`.
    Url(RedisError),
    /// The namespace is not 1 to 32 of `a-z0-9_-`.
    Namespace,
    /// No server could be reached before the deadline, or none has let this user in.
    Unreachable(Box<dyn error::Error + Send + Sync>),
    /// A server loses what it is given.
    Unfit(Unfit),
    /// A newer program has written there.
    NewerFormat {
        /// The format that was found.
        found: String,
    },
    /// The threads of the store could not be started.
    Threads(std::io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(_) => f.write_str(
                "the URL is none of Redis: use redis://HOST:PORT, rediss://HOST:PORT or redis+unix:///PATH",
            ),
            Self::Namespace => f.write_str("a namespace is 1 to 32 of a-z, 0-9, _ and -"),
            Self::Unreachable(_) => f.write_str("no Redis server can be used"),
            Self::Unfit(unfit) => unfit.fmt(f),
            Self::NewerFormat { found } => write!(
                f,
                "the store has format {found} and this program knows {}: use a newer program",
                record::FORMAT
            ),
            Self::Threads(_) => {
                f.write_str("the threads of the store cannot be started: raise the user's limit")
            }
        }
    }
}

impl error::Error for OpenError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Url(source) => Some(source),
            Self::Unreachable(source) => Some(&**source),
            Self::Threads(source) => Some(source),
            Self::Unfit(_) | Self::Namespace | Self::NewerFormat { .. } => None,
        }
    }
}
