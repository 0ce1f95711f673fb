//! Verification of tokens that another system issued.

use std::{net::IpAddr, sync::Arc};

use super::{
    Verifier,
    cached_key::CachedKey,
    outcome,
    protocol::{Backend as _, PresentedToken},
    routes::Route,
    state::VerifierState,
    token_mac::TokenMac,
};
use crate::{
    Denied, VerifyError, foreign::ForeignToken, hash::PresentedSecret, meter, token::TokenError,
};

type Decided = Result<Arc<CachedKey>, VerifyError>;

impl Verifier {
    /// Decides in memory, if the token was verified before and its key is cached.
    ///
    /// All formats are tried before the store is read, so that a cached key of any format costs no
    /// read.
    pub(super) fn verify_foreign_in_memory(
        &self,
        token: &[u8],
        address: Option<IpAddr>,
    ) -> Option<Result<Arc<CachedKey>, Denied>> {
        let mut candidates = self.0.foreign.candidates(token);
        candidates.find_map(|candidate| self.verify_route(&candidate, address))
    }

    /// Decides from the store. `malformed` is the reason why the token is not one of this library.
    ///
    /// The formats are tried in their order. The first key that is found decides, unless the token
    /// is wrong for it: another format may find the token's own key.
    pub(super) async fn verify_foreign_in_store(
        &self,
        token: &[u8],
        malformed: TokenError,
        address: Option<IpAddr>,
    ) -> Decided {
        let decided = self.verify_candidates(token, malformed, address).await;
        outcome::count(&decided);
        decided
    }

    async fn verify_candidates(
        &self,
        token: &[u8],
        malformed: TokenError,
        address: Option<IpAddr>,
    ) -> Decided {
        let mut denied = Denied::Malformed(malformed);
        for candidate in self.0.foreign.candidates(token) {
            match self.verify_candidate(&candidate, address).await {
                Some(Err(VerifyError::Denied(wrong @ Denied::WrongSecret(_)))) => denied = wrong,
                Some(decided) => return decided,
                None if matches!(denied, Denied::Malformed(_)) => denied = Denied::NotImported,
                None => {}
            }
        }
        Err(denied.into())
    }

    /// Decides in memory, if the token was verified before and its key is cached.
    ///
    /// A key that is revoked or expired can have been deleted, and the token imported again under
    /// another id. The cache keeps the entry of the earlier key, so only the store can decide.
    fn verify_route(
        &self,
        token: &ForeignToken<'_>,
        address: Option<IpAddr>,
    ) -> Option<Result<Arc<CachedKey>, Denied>> {
        let protocol = &self.0.protocol;
        let mac = protocol.backend.mac(PresentedSecret::Foreign(*token));
        let route = protocol.cache.route(mac)?;
        let decided = self.verify_cached(&presented(&route, token, mac, address))?;
        let may_be_replaced = matches!(
            decided,
            Err(Denied::Revoked(_) | Denied::Expired(_) | Denied::WrongSecret(_))
        );
        if may_be_replaced {
            return None;
        }
        outcome::count_in_memory(&decided);
        Some(decided)
    }

    /// Decides from the cache, if it has a fresh entry for the key.
    fn verify_cached(&self, token: &PresentedToken<'_>) -> Option<Result<Arc<CachedKey>, Denied>> {
        let VerifierState {
            protocol, upkeep, ..
        } = &*self.0;
        protocol.verify_in_memory(token, upkeep)
    }

    /// Decides with the key that the store has for the token. Returns `None` if it has none.
    async fn verify_candidate(
        &self,
        token: &ForeignToken<'_>,
        address: Option<IpAddr>,
    ) -> Option<Decided> {
        match self.find_route(token).await {
            Ok(route) => Some(self.verify_at(&route?, token, address).await),
            Err(error) => Some(Err(error)),
        }
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

    /// Decides with the key of a token. A rejection by a cached key, such as one that is revoked,
    /// needs no second read.
    async fn verify_at(
        &self,
        route: &Route,
        token: &ForeignToken<'_>,
        address: Option<IpAddr>,
    ) -> Decided {
        let VerifierState {
            protocol, upkeep, ..
        } = &*self.0;
        let mac = protocol.backend.mac(PresentedSecret::Foreign(*token));
        let presented = presented(route, token, mac, address);
        if let Some(Err(denied)) = self.verify_cached(&presented) {
            return Err(denied.into());
        }
        meter::cache_missed(|| protocol.cache.miss(&route.id));
        protocol.verify_in_store(&presented, upkeep).await
    }
}

fn presented<'a>(
    route: &'a Route,
    token: &ForeignToken<'a>,
    mac: TokenMac,
    address: Option<IpAddr>,
) -> PresentedToken<'a> {
    PresentedToken {
        id: &route.id,
        environment: route.environment,
        secret: PresentedSecret::Foreign(*token),
        mac: Some(mac),
        address,
    }
}
