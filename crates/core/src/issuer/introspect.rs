//! Introspection: verifies a token on behalf of a service that does not link the library.

use super::{IssueError, Issuer};
use crate::{Caller, Denied, Key, KeyId, Permission, Undecided, Verifier, VerifyError};

/// The state of a token, as its caller sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the wire contract has these four and no other"
)]
pub enum Introspection {
    /// The token is valid. Contains its key.
    Valid(Key),
    /// The token is not valid here: it is malformed, its key does not exist or is in another
    /// workspace or environment, or its secret is wrong.
    NotFound,
    /// The secret is correct, but the key has expired.
    Expired,
    /// The secret is correct, but the key was revoked.
    Revoked,
}

impl Issuer {
    /// Verifies a token that was presented to the caller.
    ///
    /// # Errors
    ///
    /// [`NotPermitted`](IssueError::NotPermitted) if the caller lacks `api_keys:verify`,
    /// [`CallerInactive`](IssueError::CallerInactive), and [`Hash`](IssueError::Hash) or
    /// [`Store`](IssueError::Store) if the token could not be verified.
    pub async fn introspect(
        &self,
        caller: &Caller,
        token: &[u8],
    ) -> Result<Introspection, IssueError> {
        let caller = &self.current(caller).await?;
        self.authorize(caller, &Permission::API_KEYS_VERIFY)?;
        let verifier = Verifier(std::sync::Arc::clone(&self.0));
        match verifier.verify(token).await {
            Ok(verified) => {
                let mut key = verified.key().clone();
                key.last_used_at = verified.last_used_at();
                let visible = key.workspace == *caller.workspace()
                    && caller.environment().covers(key.environment);
                Ok(if visible {
                    Introspection::Valid(key)
                } else {
                    Introspection::NotFound
                })
            }
            Err(VerifyError::Denied(Denied::Expired(id))) => {
                self.if_visible(caller, &id, Introspection::Expired).await
            }
            Err(VerifyError::Denied(Denied::Revoked(id))) => {
                self.if_visible(caller, &id, Introspection::Revoked).await
            }
            Err(VerifyError::Denied(_)) => Ok(Introspection::NotFound),
            Err(VerifyError::Undecided(Undecided::Hash(error))) => Err(error.into()),
            Err(VerifyError::Undecided(Undecided::Store(error))) => Err(error.into()),
        }
    }

    /// Returns `denial` if the caller sees the key, and `NotFound` otherwise.
    async fn if_visible(
        &self,
        caller: &Caller,
        id: &KeyId,
        denial: Introspection,
    ) -> Result<Introspection, IssueError> {
        match self.visible(caller, id).await {
            Ok(_) => Ok(denial),
            Err(IssueError::NotFound) => Ok(Introspection::NotFound),
            Err(error) => Err(error),
        }
    }
}
