//! Introspection: verifies a token on behalf of a service that does not link the library.

use std::net::IpAddr;

use super::{Action, IssueError, Issuer, authority::Scope};
use crate::{Caller, Denied, Key, KeyId, Permission, Undecided, VerifyError};

/// The use for which a token is introspected: a permission and an address.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct IntrospectionRequest {
    /// The permission that the key must have. `None` requires no permission.
    pub permission: Option<Permission>,
    /// The address from which the token was used. A key that is restricted to addresses is not
    /// valid without it.
    pub client_ip: Option<IpAddr>,
}

impl IntrospectionRequest {
    /// Creates a request that requires no permission and names no address.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            permission: None,
            client_ip: None,
        }
    }

    /// Requires a permission.
    #[must_use]
    pub fn with_permission(mut self, permission: Permission) -> Self {
        self.permission = Some(permission);
        self
    }

    /// Names the address from which the token was used.
    #[must_use]
    pub const fn with_client_ip(mut self, address: IpAddr) -> Self {
        self.client_ip = Some(address);
        self
    }
}

/// The state of a token, as its caller sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the wire contract has these seven and no other"
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
    /// The secret is correct, but the key is disabled.
    Disabled,
    /// The secret is correct and the key is active, but it may not be used from this address, or
    /// the address is unknown.
    AddressNotAllowed,
    /// The secret is correct and the key is active, but it lacks the permission.
    InsufficientPermission,
}

impl Issuer {
    /// Verifies a token that was presented to the caller. With `api_keys.own:verify` alone, the
    /// caller learns only about tokens of its owner.
    ///
    /// It checks the secret first, then the status of the key, the address, and the permission.
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
        request: &IntrospectionRequest,
    ) -> Result<Introspection, IssueError> {
        let caller = &self.current(caller).await?;
        let scope = self.scope(caller, Action::Introspect, None)?;
        let denied = |id, denial| self.if_visible(caller, &scope, id, denial);
        match self.verifier.verify_token(token, request.client_ip).await {
            Ok(verified) => {
                let mut key = verified.key().clone();
                key.last_used_at = verified.last_used_at();
                let visible = key.workspace == *caller.workspace()
                    && caller.environment().covers(key.environment)
                    && scope.contains(&key);
                let lacks = |permission| !key.permissions.covers(permission);
                Ok(if !visible {
                    Introspection::NotFound
                } else if request.permission.as_ref().is_some_and(lacks) {
                    Introspection::InsufficientPermission
                } else {
                    Introspection::Valid(key)
                })
            }
            Err(VerifyError::Denied(reason)) => match reason {
                Denied::Expired(id) => denied(id, Introspection::Expired).await,
                Denied::Revoked(id) => denied(id, Introspection::Revoked).await,
                Denied::Disabled(id) => denied(id, Introspection::Disabled).await,
                Denied::AddressNotAllowed(id) => denied(id, Introspection::AddressNotAllowed).await,
                Denied::Malformed(_)
                | Denied::Unknown(_)
                | Denied::NotImported
                | Denied::WrongSecret(_) => Ok(Introspection::NotFound),
            },
            Err(VerifyError::Undecided(Undecided::Hash(error))) => Err(error.into()),
            Err(VerifyError::Undecided(Undecided::Store(error))) => Err(error.into()),
        }
    }

    /// Returns `denial` if the caller sees the key, and `NotFound` otherwise.
    async fn if_visible(
        &self,
        caller: &Caller,
        scope: &Scope,
        id: KeyId,
        denial: Introspection,
    ) -> Result<Introspection, IssueError> {
        match self.visible(caller, scope, &id).await {
            Ok(_) => Ok(denial),
            Err(IssueError::NotFound) => Ok(Introspection::NotFound),
            Err(error) => Err(error),
        }
    }
}
