//! The library's protocol and cache over the model's backend.

mod backend;
#[expect(dead_code, reason = "the library's source")]
#[path = "../../../src/verifier/cache.rs"]
mod cache;
#[expect(dead_code, reason = "the library's source")]
#[path = "../../../src/verifier/cached_key.rs"]
mod cached_key;
mod map;
#[path = "../../../src/verifier/proof.rs"]
mod proof;
#[expect(dead_code, reason = "the library's source")]
#[path = "../../../src/verifier/protocol.rs"]
mod protocol;
#[path = "../../../src/verifier/rehash.rs"]
mod rehash;
#[expect(dead_code, reason = "the library's source")]
#[path = "../../../src/verifier/routes.rs"]
mod routes;
#[path = "../../../src/verifier/tag_checks.rs"]
mod tag_checks;
#[path = "../../../src/verifier/token_mac.rs"]
mod token_mac;

use std::{
    cell::Cell,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

pub(crate) use self::backend::{Hashing, ModelSecret, PLANTED, Pool, credential, secret_of};
use self::{
    backend::{ModelBackend, Queue},
    cache::{Cache, CacheCapacity, Entry},
    cached_key::CachedKey,
    proof::ProofId,
    protocol::{PresentedToken, Protocol},
    tag_checks::TagCheck,
    token_mac::TokenMac,
};
use shuttle::sync::Mutex;

use crate::{
    Environment, KeyId,
    fault::{self, Fault},
    hash::{Credential, HashError},
    meter,
    promise::Promise,
    ready::ready,
    runner,
    store::Handle,
    time,
};

thread_local! {
    static HITS: Cell<u64> = const { Cell::new(0) };
}

/// Returns the number of verifications that this thread's models have decided in memory.
pub(crate) fn hits() -> u64 {
    HITS.get()
}

#[derive(Clone)]
pub(crate) struct Verifier {
    protocol: Arc<Protocol<ModelBackend>>,
}

impl Verifier {
    pub(crate) fn new(handle: &Handle, capacity: usize, hashing: Hashing) -> Self {
        Self::with_current(handle, capacity, hashing, credential('B'))
    }

    /// Creates a verifier for which all credentials except `current` are outdated.
    pub(crate) fn with_current(
        handle: &Handle,
        capacity: usize,
        hashing: Hashing,
        current: Credential,
    ) -> Self {
        let capacity = CacheCapacity {
            keys: capacity,
            bytes: usize::MAX,
        };
        let cache = Cache::new(capacity, Arc::clone(&handle.lease));
        let backend = ModelBackend {
            handle: handle.clone(),
            hashing,
            queue: Queue::new(&cache),
            current,
            hashes: AtomicU64::new(0),
            pool_is_busy: AtomicBool::new(false),
            checks: Mutex::default(),
        };
        let protocol = Protocol::new(backend, cache, Arc::clone(&handle.lease));
        Self {
            protocol: Arc::new(protocol),
        }
    }

    fn backend(&self) -> &ModelBackend {
        &self.protocol.backend
    }

    /// Returns the number of hashes that were computed.
    pub(crate) fn hashes(&self) -> u64 {
        self.backend().hashes.load(Ordering::SeqCst)
    }

    /// Verifies a token that was presented from an address, and checks the result against the
    /// promises that were in force when the verification began, and when its hash was computed.
    pub(crate) fn verify(&self, id: KeyId, secret: u64, address: Option<IpAddr>) -> bool {
        let handle = &self.backend().handle;
        let presented = ModelSecret::new(secret);
        let token = PresentedToken {
            id: &id,
            environment: Environment::Live,
            secret: &presented,
            mac: None,
            address,
        };
        let began = time::millis();
        let promised = handle.database.promises.in_force(id, began, handle.bound);
        let Some(cached) = self.decide(&token) else {
            return false;
        };
        for promise in promised {
            if !promise.allows(&cached.key, began, address) {
                runner::violated(&format!("accepted in spite of {promise:?}"));
            }
        }
        if let Some((promised, hashed)) = presented.hashed.take()
            && !promised
                .iter()
                .all(|promise| promise.allows(&cached.key, hashed, address))
        {
            runner::violated("accepted after a hash during which the key was changed");
        }
        if secret != secret_of(&id) {
            runner::violated("accepted a wrong secret");
        }
        true
    }

    /// Verifies the token of an imported key: by its route, or by a search for its alias, which
    /// finds `id`.
    pub(crate) fn verify_imported(&self, id: KeyId, secret: u64) -> bool {
        let route = self.protocol.cache.route(TokenMac::new([secret, 0]));
        let route = route.map_or(id, |route| route.id);
        assert_eq!(route, id, "the route of another key");
        self.verify(route, secret, None)
    }

    /// Returns the number of routes.
    pub(crate) fn routes(&self) -> usize {
        self.protocol.cache.routes()
    }

    fn decide(&self, token: &PresentedToken<'_>) -> Option<Arc<CachedKey>> {
        let backend = self.backend();
        if fault::is(Fault::ReadBeforeStamp) {
            fault::read_ahead(backend.handle.find(token.id));
        }
        fault::skip_lease();
        let in_memory = self.protocol.verify_in_memory(token, &*backend.queue);
        let in_memory = in_memory
            .filter(|_| !fault::is(Fault::LeaseAfterEntry) || backend.handle.lease.vouches());
        let decided = match in_memory {
            Some(decided) => {
                HITS.set(HITS.get() + 1);
                decided.ok()
            }
            None => ready(self.protocol.verify_in_store(token, &*backend.queue)).ok(),
        };
        fault::take_read_ahead();
        if fault::is(Fault::NotMarkedAsByTag) {
            let mark = |entry: &Entry| entry.mark_checked(ProofId::new(*token.id, entry.proof));
            self.protocol.cache.read(token.id, mark);
        }
        decided
    }

    /// Returns the number of hashes that wait to be replaced.
    pub(crate) fn waiting(&self) -> usize {
        self.backend().queue.len()
    }

    /// Replaces the hash that has waited longest, if any. Only one thread may do this at once.
    pub(crate) fn replace_next(&self, pool: Pool) {
        let busy = pool == Pool::Busy;
        self.backend().pool_is_busy.store(busy, Ordering::SeqCst);
        if let Some(rehash) = self.backend().queue.pop() {
            ready(self.protocol.replace_hash(rehash));
        }
    }

    /// Checks the hash that has waited longest, if any. A key whose secret does not have the hash
    /// is rejected from then on.
    pub(crate) fn check_next(&self) {
        let Some((check, matches)) = self.take_check() else {
            return;
        };
        let id = check.id();
        if fault::is(Fault::FailedCheckForgotten) && !matches {
            check.complete(Err(HashError::Busy));
        } else {
            check.complete(Ok(matches));
        }
        if !matches {
            let promises = &self.backend().handle.database.promises;
            promises.make(id, Promise::Rejected, time::millis());
        }
    }

    /// Rejects the check that has waited longest, if any, as a full queue does.
    pub(crate) fn reject_check(&self) {
        if let Some((check, _)) = self.take_check() {
            check.complete(Err(HashError::Busy));
        }
    }

    fn take_check(&self) -> Option<(TagCheck, bool)> {
        self.backend().checks.lock().unwrap().pop_front()
    }

    /// Returns the number of hashes that wait to be checked.
    pub(crate) fn checks(&self) -> usize {
        self.backend().checks.lock().unwrap().len()
    }

    /// Returns the number of keys in the cache and the number of evictions.
    pub(crate) fn sizes(&self) -> (usize, u64) {
        (self.protocol.cache.len(), meter::evictions())
    }
}
