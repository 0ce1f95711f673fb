//! From the tokens of other systems to the ids of their keys.

use foldhash::fast::RandomState;

use super::token_mac::TokenMac;
use crate::{Environment, KeyId};

/// The keys of foreign tokens that were verified, so that a token that is used again costs no
/// search for its alias. A route says only where to look: the entry of the cache proves the token.
pub(super) struct Routes {
    map: papaya::HashMap<[u64; 2], Route, RandomState>,
    capacity: usize,
}

/// Where to look for the key of a token.
#[derive(Clone, Copy)]
pub(super) struct Route {
    pub(super) id: KeyId,
    pub(super) environment: Environment,
}

impl Routes {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            map: papaya::HashMap::with_hasher(RandomState::default()),
            capacity,
        }
    }

    #[inline]
    pub(super) fn get(&self, token: TokenMac) -> Option<Route> {
        self.map.pin().get(&token.as_words()).copied()
    }

    /// Adds the route of a token that was verified. Once there are as many as the cache has keys,
    /// all are forgotten: each is found again at its next use.
    pub(super) fn add(&self, token: TokenMac, route: Route) {
        let map = self.map.pin();
        if map.len() >= self.capacity {
            map.clear();
        }
        if self.capacity > 0 {
            map.insert(token.as_words(), route);
        }
    }
}
