//! What comes of a verification.

use std::{error::Error, fmt, sync::Arc};

use super::known::Known;
use crate::{Caller, HashError, Key, KeyId, StoreError, Timestamp, TokenError};

/// A token that was verified: whose key it is, and what it may do.
#[derive(Clone, Debug)]
pub struct Verified(pub(super) Arc<Known>);

impl Verified {
    /// The key, as it was read from the store. Its uses since then are in
    /// [`last_used_at`](Self::last_used_at) alone.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.0.key
    }

    /// When the key was last used, as far as this process knows: at this verification, or later.
    #[must_use]
    pub fn last_used_at(&self) -> Option<Timestamp> {
        self.0.last_used_at()
    }

    /// The caller that presented the token.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller::from(self.key())
    }
}

/// Why a token was not accepted: because it opens nothing, or because that could not be found out.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever verifies must handle both, and no third"
)]
pub enum VerifyError {
    /// It opens nothing.
    Denied(Denied),
    /// Nothing is known about it.
    Undecided(Undecided),
}

/// Why a token opens nothing. For the operator alone: whoever presented the token must not learn
/// more than that it was denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Denied {
    /// It is no token of this host.
    Malformed(TokenError),
    /// There is no such key.
    Unknown(KeyId),
    /// There is such a key, and this is not its secret.
    WrongSecret(KeyId),
    /// Its key was revoked.
    Revoked(KeyId),
    /// Its key has expired.
    Expired(KeyId),
}

impl Denied {
    /// The id that the token named, if it was one; there need not be such a key.
    #[must_use]
    pub const fn id(&self) -> Option<&KeyId> {
        match self {
            Self::Malformed(_) => None,
            Self::Unknown(id) | Self::WrongSecret(id) | Self::Revoked(id) | Self::Expired(id) => {
                Some(id)
            }
        }
    }
}

/// Why nothing could be found out about a token.
#[derive(Debug)]
#[non_exhaustive]
pub enum Undecided {
    /// The secret could not be hashed.
    Hash(HashError),
    /// The store failed.
    Store(StoreError),
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Denied(_) => "the token was denied",
            Self::Undecided(_) => "the token could not be verified",
        })
    }
}

impl Error for VerifyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Denied(denied) => Some(denied),
            Self::Undecided(undecided) => Some(undecided),
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed(_) => "it is no token",
            Self::Unknown(_) => "there is no such key",
            Self::WrongSecret(_) => "the secret is wrong",
            Self::Revoked(_) => "the key was revoked",
            Self::Expired(_) => "the key has expired",
        })
    }
}

impl Error for Denied {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Malformed(source) => Some(source),
            _ => None,
        }
    }
}

impl fmt::Display for Undecided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hash(_) => "the secret could not be hashed",
            Self::Store(_) => "the store failed",
        })
    }
}

impl Error for Undecided {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Hash(source) => Some(source),
            Self::Store(source) => Some(source),
        }
    }
}

impl From<Denied> for VerifyError {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

impl From<HashError> for VerifyError {
    fn from(source: HashError) -> Self {
        Self::Undecided(Undecided::Hash(source))
    }
}

impl From<StoreError> for VerifyError {
    fn from(source: StoreError) -> Self {
        Self::Undecided(Undecided::Store(source))
    }
}
