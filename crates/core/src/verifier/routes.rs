//! An index from the tokens of other systems to the ids of their keys.

use super::{map::Map, token_mac::TokenMac};
use crate::{Environment, KeyId};

/// The ids of the cached keys of foreign tokens, by the MACs of the tokens, so that a token that is
/// used again costs no search for its alias. A route proves nothing: the entry of the cache proves
/// the token, and has the status of the key.
///
/// Each route belongs to an entry of the cache. A thread adds it before the entry, and the thread
/// that replaces or evicts the entry removes it. So there are never more routes than entries and
/// fills.
pub(super) struct Routes(Map<[u64; 2], Route>);

/// Where to look for the key of a token.
#[derive(Clone, Copy)]
pub(super) struct Route {
    pub(super) id: KeyId,
    pub(super) environment: Environment,
}

impl Routes {
    /// About how many bytes a route takes.
    pub(super) const WEIGHT: usize = 80;

    pub(super) fn new() -> Self {
        Self(Map::new())
    }

    #[inline]
    pub(super) fn get(&self, token: TokenMac) -> Option<Route> {
        self.0.read(&token.as_words(), |route| *route)
    }

    pub(super) fn add(&self, token: TokenMac, route: Route) {
        self.0.insert(token.as_words(), route, |_| ());
    }

    /// Removes the route of a token to a key. Keeps a route to another key, which is the same token
    /// imported again.
    pub(super) fn remove(&self, token: TokenMac, id: &KeyId) {
        if self.get(token).is_some_and(|route| route.id == *id) {
            self.0.remove(&token.as_words(), |_| ());
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
