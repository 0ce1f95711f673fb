//! The results of a verification.

use std::{net::IpAddr, sync::Arc};

use super::cached_key::CachedKey;
use crate::{
    Caller, Key, KeyId, Timestamp,
    hash::HashError,
    instance::InstanceId,
    meter::{self, VerificationOutcome},
    store::StoreError,
    token::TokenError,
};

/// A verified token: its key, and what the key may do.
#[derive(Clone, Debug)]
pub struct Verified {
    pub(super) cached: Arc<CachedKey>,
    /// The address of the client, if the verifier knew it.
    pub(super) address: Option<IpAddr>,
    /// The instance that verified the token.
    pub(super) origin: InstanceId,
}

impl Verified {
    /// Returns the key as it was read from the store. Uses since then show only in
    /// [`last_used_at`](Self::last_used_at).
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.cached.key
    }

    /// Returns the latest use of the key that this process knows of: this verification or a later
    /// one.
    #[must_use]
    pub fn last_used_at(&self) -> Option<Timestamp> {
        self.cached.last_used_at()
    }

    /// Returns the caller that presented the token. It is valid only in the
    /// [`Keywright`](crate::Keywright) that verified the token. Its
    /// [`client_ip`](Caller::client_ip) is the address of
    /// [`verify_from`](crate::Verifier::verify_from).
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller::verified(self.key(), self.address, self.origin)
    }
}

/// An error from [`Verifier::verify`](crate::Verifier::verify): the token is invalid, or the
/// verifier could not decide.
#[derive(Debug, thiserror::Error)]
#[expect(
    clippy::exhaustive_enums,
    reason = "callers must handle both, and there is no third"
)]
pub enum VerifyError {
    /// The token is invalid.
    #[error("the token was denied")]
    Denied(#[from] Denied),
    /// The verifier could not decide whether the token is valid.
    #[error("the token could not be verified")]
    Undecided(#[from] Undecided),
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

/// The reason why a token is invalid.
///
/// Only the operator may see the reason. The client that presented the token may learn only that it
/// was denied, except for [`AddressNotAllowed`](Self::AddressNotAllowed).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// The text is not a token of this host.
    #[error("the token is malformed")]
    Malformed(#[source] TokenError),
    /// No key has the token's id.
    #[error("there is no such key")]
    Unknown(KeyId),
    /// The token has a [foreign](crate::foreign) format, and no key was imported with it.
    #[error("no key was imported with this token")]
    NotImported,
    /// A key has the token's id, but another secret.
    #[error("the secret is wrong")]
    WrongSecret(KeyId),
    /// The key is revoked.
    #[error("the key was revoked")]
    Revoked(KeyId),
    /// The key has expired.
    #[error("the key has expired")]
    Expired(KeyId),
    /// The key is paused.
    #[error("the key is disabled")]
    Disabled(KeyId),
    /// The key may not be used from the address of the client, or the address is unknown and the
    /// key may be used from some addresses only. The secret is correct and the key is active, so
    /// the client may learn this.
    #[error("the key may not be used from this address")]
    AddressNotAllowed(KeyId),
}

impl Denied {
    /// Returns the id in the token, if it has one. A key with this id need not exist.
    #[must_use]
    pub const fn id(&self) -> Option<&KeyId> {
        match self {
            Self::Malformed(_) | Self::NotImported => None,
            Self::Unknown(id)
            | Self::WrongSecret(id)
            | Self::Revoked(id)
            | Self::Expired(id)
            | Self::Disabled(id)
            | Self::AddressNotAllowed(id) => Some(id),
        }
    }

    /// Returns the label under which this is counted.
    const fn outcome(&self) -> VerificationOutcome {
        match self {
            Self::Malformed(_) => VerificationOutcome::Malformed,
            Self::Unknown(_) | Self::NotImported => VerificationOutcome::Unknown,
            Self::WrongSecret(_) => VerificationOutcome::WrongSecret,
            Self::Revoked(_) => VerificationOutcome::Revoked,
            Self::Expired(_) => VerificationOutcome::Expired,
            Self::Disabled(_) => VerificationOutcome::Disabled,
            Self::AddressNotAllowed(_) => VerificationOutcome::AddressNotAllowed,
        }
    }
}

/// The reason why the verifier could not decide whether a token is valid.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Undecided {
    /// The secret could not be hashed.
    #[error("could not hash the secret")]
    Hash(#[source] HashError),
    /// The store failed.
    #[error("could not read the key from the store")]
    Store(#[source] StoreError),
}

impl VerifyError {
    /// Returns the label under which this is counted.
    const fn outcome(&self) -> VerificationOutcome {
        match self {
            Self::Denied(denied) => denied.outcome(),
            Self::Undecided(_) => VerificationOutcome::Undecided,
        }
    }
}

/// Counts a verification that was decided in memory.
#[inline]
pub(super) fn count_in_memory<T>(decided: &Result<T, Denied>) {
    meter::verified_in_memory(|| match decided {
        Ok(_) => VerificationOutcome::Accepted,
        Err(denied) => denied.outcome(),
    });
}

/// Counts a verification that was not decided in memory.
pub(super) fn count<T>(decided: &Result<T, VerifyError>) {
    meter::verified(|| match decided {
        Ok(_) => VerificationOutcome::Accepted,
        Err(error) => error.outcome(),
    });
}
