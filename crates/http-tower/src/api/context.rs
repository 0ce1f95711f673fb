//! The state that the endpoints share: the issuer, the authentication, and the rate limit.

use std::sync::Arc;

use http::request::Parts;
use keywright_core::{Action, Caller, IssueError, Issuer, KeyId};

use super::mount::Mount;
#[cfg(feature = "rate-limit")]
use crate::rate_limit::RateLimit;
use crate::{auth::Authenticator, error::ApiError, trace};

/// The state that every handler borrows.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) issuer: Issuer,
    pub(super) authenticator: Arc<Authenticator>,
    pub(super) mount: Mount,
    /// Whether the host authenticates callers by the session of a browser.
    pub(super) from_browser_sessions: bool,
    #[cfg(feature = "rate-limit")]
    pub(super) rate_limit: Option<RateLimit>,
}

/// The key that a request is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    /// The key with this id.
    Key(KeyId),
    /// The key that makes the request.
    Itself,
}

impl Target {
    /// Returns the id in the path of the request.
    pub(super) const fn id(self) -> Option<KeyId> {
        match self {
            Self::Key(id) => Some(id),
            Self::Itself => None,
        }
    }
}

impl Context {
    /// Authenticates the caller, charges its rate limit, and checks its permission for an action.
    ///
    /// The order matters: an unauthenticated request cannot spend the budget of a caller, and a
    /// request without the permission counts.
    pub(super) async fn authorize(
        &self,
        parts: &mut Parts,
        action: Action,
    ) -> Result<Caller, ApiError> {
        let caller = self.authenticate_limited(parts).await?;
        self.check(&caller, action, None)?;
        Ok(caller)
    }

    /// [Authorizes](Self::authorize) the caller for an action on a key. Returns the id of the key
    /// as well.
    pub(super) async fn authorize_for(
        &self,
        parts: &mut Parts,
        action: Action,
        target: Target,
    ) -> Result<(Caller, KeyId), ApiError> {
        let caller = self.authenticate_limited(parts).await?;
        let id = match target {
            Target::Key(id) => id,
            Target::Itself => {
                let id = *caller.key().ok_or_else(ApiError::not_a_key)?;
                trace::record_key(&id);
                id
            }
        };
        self.check(&caller, action, Some(&id))?;
        Ok((caller, id))
    }

    /// Authenticates the caller and checks its permission, without a rate limit.
    pub(super) async fn authorize_unlimited(
        &self,
        parts: &mut Parts,
        action: Action,
    ) -> Result<Caller, ApiError> {
        let caller = self.authenticate(parts).await?;
        self.check(&caller, action, None)?;
        Ok(caller)
    }

    async fn authenticate_limited(&self, parts: &mut Parts) -> Result<Caller, ApiError> {
        let caller = self.authenticate(parts).await?;
        #[cfg(feature = "rate-limit")]
        if let Some(limit) = &self.rate_limit {
            let budget = limit.spend(&caller);
            parts.extensions.insert(budget);
            budget.check()?;
        }
        Ok(caller)
    }

    async fn authenticate(&self, parts: &mut Parts) -> Result<Caller, ApiError> {
        let authenticated = self.authenticator.authenticate(parts).await;
        let caller =
            authenticated.map_err(|rejection| self.authenticator.to_api_error(&rejection))?;
        trace::record_caller(&caller);
        Ok(caller)
    }

    fn check(
        &self,
        caller: &Caller,
        action: Action,
        target: Option<&KeyId>,
    ) -> Result<(), ApiError> {
        self.issuer
            .authorize(caller, action, target)
            .map_err(|error| self.to_api_error(&error))
    }

    /// Converts an error of the issuer, with the challenge of this service.
    pub(super) fn to_api_error(&self, error: &IssueError) -> ApiError {
        self.authenticator.challenge().issue_error(error)
    }
}
