//! The library's protocol and cache over the store of the simulation, whose hashes take no time.

#[expect(dead_code, reason = "the library's source")]
#[path = "../../src/verifier/cache.rs"]
mod cache;
#[expect(dead_code, reason = "the library's source")]
#[path = "../../src/verifier/cached_key.rs"]
mod cached_key;
#[path = "../../src/verifier/map.rs"]
mod map;
#[path = "../../src/verifier/proof.rs"]
mod proof;
#[expect(dead_code, reason = "the library's source")]
#[path = "../../src/verifier/protocol.rs"]
mod protocol;
#[path = "../../src/verifier/rehash.rs"]
mod rehash;
#[expect(dead_code, reason = "the library's source")]
#[path = "../../src/verifier/routes.rs"]
mod routes;
#[expect(dead_code, reason = "the library's source")]
#[path = "../../src/verifier/tag_checks.rs"]
mod tag_checks;
#[path = "../../src/verifier/token_mac.rs"]
mod token_mac;

use std::{rc::Rc, sync::Arc};

use self::{
    cache::{Cache, CacheCapacity},
    cached_key::CachedKey,
    proof::{Fingerprint, Proof},
    protocol::{Backend, PresentedToken, Protocol, RehashQueue},
    rehash::Rehash,
    token_mac::TokenMac,
};
use crate::{
    Environment, Key, KeyId, Timestamp,
    hash::{Credential, HashError, StoredHash},
    network::Link,
    store::{Lease, Record, StoreError},
    time,
    world::World,
};

/// The number of keys that a process caches.
const CACHED: usize = 2_000;

/// The verifier of one process.
pub(crate) struct Verifier(Protocol<Connection>);

/// How a verification was decided.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decided {
    InMemory,
    InStore,
}

impl Verifier {
    pub(crate) fn new(world: &Rc<World>, link: &Rc<Link>, lease: &Arc<Lease>) -> Self {
        let capacity = CacheCapacity {
            keys: CACHED,
            bytes: usize::MAX,
        };
        let connection = Connection {
            world: Rc::clone(world),
            link: Rc::clone(link),
        };
        let cache = Cache::new(capacity, Arc::clone(lease));
        Self(Protocol::new(connection, cache, Arc::clone(lease)))
    }

    /// Verifies the token of a key. Returns whether it is accepted.
    pub(crate) async fn verify(&self, id: &KeyId) -> (bool, Decided) {
        let token = PresentedToken {
            id,
            environment: Environment::Live,
            secret: &(),
            mac: None,
            address: None,
        };
        match self.0.verify_in_memory(&token, &NoQueue) {
            Some(decided) => (decided.is_ok(), Decided::InMemory),
            None => {
                let decided = self.0.verify_in_store(&token, &NoQueue).await;
                (decided.is_ok(), Decided::InStore)
            }
        }
    }
}

/// No hash is outdated, so nothing is queued.
struct NoQueue;

impl RehashQueue<()> for NoQueue {
    fn try_push(&self, _: Rehash<()>) -> bool {
        false
    }
}

/// The connection of a process to the store.
struct Connection {
    world: Rc<World>,
    link: Rc<Link>,
}

impl Backend for Connection {
    type Secret = ();

    type Binding = ();

    async fn find(&self, id: &KeyId) -> Result<Option<Record>, StoreError> {
        let World {
            database, random, ..
        } = &*self.world;
        Ok(self.link.ask(random, database.find(id)).await)
    }

    async fn rehash(&self, _: &KeyId, _: u64, _: &Credential) -> Result<(), StoreError> {
        unreachable!("no hash is outdated")
    }

    fn now(&self) -> Timestamp {
        time::now()
    }

    fn observe(&self, _: Timestamp) {}

    fn mac(&self, (): &()) -> TokenMac {
        TokenMac::new([0; 2])
    }

    fn fingerprint(&self, _: &Key, _: &StoredHash) -> Fingerprint {
        Fingerprint(0)
    }

    fn binding(&self, _: &Key) {}

    fn tag_matches(&self, (): &(), _: &Record, (): &()) -> Result<bool, HashError> {
        Ok(true)
    }

    fn verify_at_once(&self, (): &(), _: &Record, (): &()) -> Result<Option<bool>, HashError> {
        Ok(Some(true))
    }

    async fn verify_on_pool(
        &self,
        (): &(),
        _: &Record,
        (): (),
        _: Proof,
    ) -> Result<bool, HashError> {
        unreachable!("each hash is verified at once")
    }

    fn is_current(&self, _: &Record) -> bool {
        true
    }

    fn copy_secret(&self, (): &()) {}

    async fn hash_again(&self, _: &Key, (): &()) -> Result<Credential, HashError> {
        unreachable!("no hash is outdated")
    }

    fn assume_proven(&self, _: KeyId, _: Proof) -> impl Sized {}

    fn intern(&self, _: &mut Key) {}

    fn record_use(&self, _: &Arc<CachedKey>) {}
}
