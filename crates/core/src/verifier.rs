//! What verifies tokens.

use std::{error::Error, fmt, sync::Arc};

use crate::{
    Caller, HashError, Key, KeyId, Record, Scheme, Status, StoreError, TokenError, TokenRef,
    config::Shared, hash::Binding,
};

/// Verifies tokens. Each call asks the store, so that a revoked key is refused by every call that
/// begins after the revocation was acknowledged.
#[derive(Clone, Debug)]
pub struct Verifier(pub(crate) Arc<Shared>);

impl Verifier {
    /// Verifies a token, from the cheapest check to the dearest: its form and checksum, its id, its
    /// environment, the tag of its secret, whether its key is revoked or expired, and the hash of
    /// its secret.
    ///
    /// # Errors
    ///
    /// [`VerifyError::Denied`] if the token opens nothing; [`VerifyError::Undecided`] if that could
    /// not be found out, which is no statement about the token.
    pub async fn verify(&self, token: &[u8]) -> Result<Verified, VerifyError> {
        let shared = &*self.0;
        let token = TokenRef::parse(token, &shared.prefix).map_err(Denied::Malformed)?;
        let Record {
            key, credential, ..
        } = self.find(token.id()).await?;
        if key.environment != token.environment() {
            return Err(Denied::Unknown(key.id).into());
        }
        let secret = token.exposed_secret();
        if !shared.hasher.tag_matches(&credential, &key.id, secret)? {
            return Err(Denied::WrongSecret(key.id).into());
        }
        self.check_active(&key)?;
        let binding = Binding::new(&key.id, &key.workspace, key.environment);
        if !shared
            .hasher
            .proves(&credential.hash, binding, secret)
            .await?
        {
            return Err(Denied::WrongSecret(key.id).into());
        }
        if matches!(credential.hash.scheme(), Scheme::HmacSha256) {
            return Ok(Verified(Arc::new(key)));
        }
        // A run of Argon2 may have waited for others, and the key may have been revoked meanwhile.
        let key = self.find(&key.id).await?.key;
        self.check_active(&key)?;
        Ok(Verified(Arc::new(key)))
    }

    /// Whether a caller's time is not over yet.
    #[must_use]
    pub fn is_current(&self, caller: &Caller) -> bool {
        caller.is_current(self.0.clock.now())
    }

    async fn find(&self, id: &KeyId) -> Result<Record, VerifyError> {
        Ok(self.0.store.find(id).await?.ok_or(Denied::Unknown(*id))?)
    }

    fn check_active(&self, key: &Key) -> Result<(), Denied> {
        match key.status(self.0.clock.now()) {
            Status::Active => Ok(()),
            Status::Expired => Err(Denied::Expired(key.id)),
            Status::Revoked => Err(Denied::Revoked(key.id)),
        }
    }
}

/// A token that was verified: whose key it is, and what it may do.
#[derive(Clone, Debug)]
pub struct Verified(Arc<Key>);

impl Verified {
    /// The key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.0
    }

    /// The caller that presented the token.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller::from(&*self.0)
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
