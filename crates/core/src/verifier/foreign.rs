//! Verification of tokens that another system issued.

use std::{net::IpAddr, sync::Arc};

use super::{
    Verifier,
    cached_key::CachedKey,
    protocol::{Backend as _, PresentedToken},
    routes::Route,
    state::VerifierState,
};
use crate::{
    Denied, VerifyError,
    foreign::ForeignToken,
    hash::PresentedSecret,
    meter::{self, VerificationOutcome},
    token::TokenError,
};

impl Verifier {
    /// Verifies a token that is none of this library's, for the reason `malformed`.
    ///
    /// The formats are tried in their order. A key that is found decides, whether it accepts the
    /// token or not.
    pub(super) async fn verify_foreign(
        &self,
        token: &[u8],
        malformed: TokenError,
        address: Option<IpAddr>,
    ) -> Result<Arc<CachedKey>, VerifyError> {
        let mut denied = Denied::Malformed(malformed);
        for candidate in self.0.foreign.candidates(token) {
            if let Some(decided) = self.verify_route(&candidate, address) {
                return decided.map_err(VerifyError::from);
            }
            if let Some(decided) = Box::pin(self.verify_candidate(&candidate, address)).await {
                return decided;
            }
            denied = Denied::NotImported;
        }
        meter::verified(|| denied.outcome());
        Err(denied.into())
    }

    /// Decides in memory, if the token was verified before and its key is cached.
    fn verify_route(
        &self,
        token: &ForeignToken<'_>,
        address: Option<IpAddr>,
    ) -> Option<Result<Arc<CachedKey>, Denied>> {
        let VerifierState {
            protocol,
            upkeep,
            routes,
            ..
        } = &*self.0;
        let secret = PresentedSecret::Foreign(*token);
        let Route { id, environment } = routes.get(protocol.backend.mac(secret))?;
        let presented = PresentedToken {
            id: &id,
            environment,
            secret,
            address,
        };
        let decided = protocol.verify_in_memory(&presented, upkeep)?;
        meter::verified_in_memory(|| match &decided {
            Ok(_) => VerificationOutcome::Accepted,
            Err(denied) => denied.outcome(),
        });
        Some(decided)
    }

    /// Decides from the store. Returns `None` if it has no key for the token.
    async fn verify_candidate(
        &self,
        token: &ForeignToken<'_>,
        address: Option<IpAddr>,
    ) -> Option<Result<Arc<CachedKey>, VerifyError>> {
        let decided = match self.find_route(token).await {
            Ok(route) => self.verify_at(route?, token, address).await,
            Err(error) => Err(error),
        };
        meter::verified(|| match &decided {
            Ok(_) => VerificationOutcome::Accepted,
            Err(error) => error.outcome(),
        });
        Some(decided)
    }

    /// Finds the key of a token in the store.
    async fn find_route(&self, token: &ForeignToken<'_>) -> Result<Option<Route>, VerifyError> {
        let Some(alias) = self.0.foreign.alias(token) else {
            return Ok(None);
        };
        let Some(record) = self.store().find_by_alias(&alias).await? else {
            return Ok(None);
        };
        let (id, environment) = (record.key.id, record.key.environment);
        self.check_claim(&id).await?;
        Ok(Some(Route { id, environment }))
    }

    async fn verify_at(
        &self,
        route: Route,
        token: &ForeignToken<'_>,
        address: Option<IpAddr>,
    ) -> Result<Arc<CachedKey>, VerifyError> {
        let VerifierState {
            protocol,
            upkeep,
            routes,
            ..
        } = &*self.0;
        meter::cache_missed(|| protocol.cache.miss(&route.id));
        let secret = PresentedSecret::Foreign(*token);
        let presented = PresentedToken {
            id: &route.id,
            environment: route.environment,
            secret,
            address,
        };
        let verified = protocol.verify_in_store(&presented, upkeep).await?;
        routes.add(protocol.backend.mac(secret), route);
        Ok(verified)
    }
}
