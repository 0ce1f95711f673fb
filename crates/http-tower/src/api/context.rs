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
    #[cfg(feature = "rate-limit")]
    pub(super) rate_limit: Option<RateLimit>,
}

impl Context {
    /// Authenticates the caller, charges its rate limit, and checks its permission for an action
    /// on some key, or on the key `target`.
    ///
    /// The order matters: an unauthenticated request cannot spend the budget of a caller, and a
    /// request without the permission counts.
    pub(super) async fn authorize(
        &self,
        parts: &mut Parts,
        action: Action,
        target: Option<&KeyId>,
    ) -> Result<Caller, ApiError> {
        let caller = self.authenticator.authenticate(parts).await?;
        #[cfg(feature = "rate-limit")]
        if let Some(limit) = &self.rate_limit {
            let budget = limit.spend(&caller);
            parts.extensions.insert(budget);
            budget.check()?;
        }
        self.check(caller, action, target)
    }

    /// Authenticates the caller and checks its permission, without a rate limit.
    pub(super) async fn authorize_unlimited(
        &self,
        parts: &mut Parts,
        action: Action,
    ) -> Result<Caller, ApiError> {
        let caller = self.authenticator.authenticate(parts).await?;
        self.check(caller, action, None)
    }

    fn check(
        &self,
        caller: Caller,
        action: Action,
        target: Option<&KeyId>,
    ) -> Result<Caller, ApiError> {
        trace::record_caller(&caller);
        let authorized = self.issuer.authorize(&caller, action, target);
        authorized.map_err(|error| self.to_api_error(&error))?;
        Ok(caller)
    }

    /// Converts an error of the issuer, with the challenge of this service.
    pub(super) fn to_api_error(&self, error: &IssueError) -> ApiError {
        self.authenticator.challenge().issue_error(error)
    }
}
