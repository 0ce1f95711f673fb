//! Telling a service that cannot link the library whether a token is valid.

use super::{IssueError, Issuer};
use crate::{Caller, Denied, Key, KeyId, Permission, Undecided, VerifyError};

/// What a token is worth in the caller's workspace.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the wire contract has these four and no other"
)]
pub enum Introspection {
    /// It is valid, and this is its key.
    Valid(Key),
    /// It opens nothing here: it is no token, or of no key, or has a wrong secret, or belongs
    /// elsewhere.
    NotFound,
    /// Its secret is right, and its key has expired.
    Expired,
    /// Its secret is right, and its key was revoked.
    Revoked,
}

impl Issuer {
    /// Verifies a token that somebody has presented to the caller.
    ///
    /// # Errors
    ///
    /// [`IssueError::NotPermitted`] without `api_keys:verify`; [`IssueError::Hash`] and
    /// [`IssueError::Store`] if nothing could be found out.
    pub async fn introspect(
        &self,
        caller: &Caller,
        token: &[u8],
    ) -> Result<Introspection, IssueError> {
        let caller = &self.current(caller).await?;
        self.authorize(caller, &Permission::API_KEYS_VERIFY)?;
        match self.0.verify(token).await {
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

    async fn if_visible(
        &self,
        caller: &Caller,
        id: &KeyId,
        answer: Introspection,
    ) -> Result<Introspection, IssueError> {
        match self.visible(caller, id).await {
            Ok(_) => Ok(answer),
            Err(IssueError::NotFound) => Ok(Introspection::NotFound),
            Err(error) => Err(error),
        }
    }
}
