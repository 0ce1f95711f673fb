//! The library over a spy store, with a manual clock.

use std::{sync::Arc, thread, time::Duration};

use keywright_core::{
    Argon2Params, Caller, Config, Denied, Environment, IssueError, Issued, Key, KeyId, KeyUpdate,
    Keywright, Name, NewKey, NewRotation, Prefix, Reach, Scheme, Token, TokenRef, Verified,
    VerifyError, VersionedKey, Workspace,
    store::{KeyStore, Lease, StoreError, StoreErrorKind},
};
use pollster::block_on;

use crate::{busy_pool::BusyPool, manual_clock::ManualClock, spy_store::SpyStore};

/// Returns Argon2id at the lowest cost.
pub(crate) fn cheap() -> Scheme {
    argon2(8, 1)
}

pub(crate) fn argon2(memory_kib: u32, passes: u32) -> Scheme {
    Scheme::Argon2id(Argon2Params::new(memory_kib, passes, 1).unwrap())
}

pub(crate) fn prefix() -> Prefix {
    Prefix::parse("sk").unwrap()
}

pub(crate) fn operator() -> Caller {
    Caller::new(Workspace::parse("acme").unwrap(), "*".parse().unwrap())
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// Waits until a condition that another thread brings about is true.
#[track_caller]
pub(crate) fn await_that(condition: impl Fn() -> bool) {
    for _ in 0..60_000 {
        if condition() {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("the condition did not become true within a minute");
}

/// Returns the kind of a store error.
pub(crate) fn kind<T>(result: Result<T, IssueError>) -> StoreErrorKind {
    match result {
        Err(IssueError::Store(error)) => error.kind(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it succeeded"),
    }
}

/// A store, a clock, and the library over both.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) store: Arc<SpyStore>,
    pub(crate) keys: Keywright,
    operator: Caller,
}

impl World {
    /// Creates a world with Argon2id at the lowest cost.
    pub(crate) fn new() -> Self {
        Self::over(SpyStore::default(), |config| config)
    }

    /// Creates a world with another configuration.
    pub(crate) fn with(configure: impl FnOnce(Config) -> Config) -> Self {
        Self::over(SpyStore::default(), configure)
    }

    /// Creates a world whose store has this lease.
    pub(crate) fn leased(lease: Lease, configure: impl FnOnce(Config) -> Config) -> Self {
        Self::over(SpyStore::leased(lease), configure)
    }

    fn over(store: SpyStore, configure: impl FnOnce(Config) -> Config) -> Self {
        let (clock, store) = (ManualClock::new(), Arc::new(store));
        let keys = open(&store, &clock, configure);
        let operator = operator();
        Self {
            clock,
            store,
            keys,
            operator,
        }
    }

    /// Opens the library again, as another process would.
    pub(crate) fn reopened(&self, configure: impl FnOnce(Config) -> Config) -> Self {
        Self {
            keys: open(&self.store, &self.clock, configure),
            ..self.clone()
        }
    }

    pub(crate) fn issue(&self) -> Issued {
        self.issue_new(NewKey::new(name("n")))
    }

    pub(crate) fn issue_new(&self, new: NewKey) -> Issued {
        block_on(self.keys.issuer().create(&operator(), new)).unwrap()
    }

    pub(crate) fn issue_many(&self, count: usize) -> Vec<Issued> {
        (0..count).map(|_| self.issue()).collect()
    }

    pub(crate) fn verify(&self, token: &Token) -> Result<Verified, VerifyError> {
        block_on(self.keys.verifier().verify(token.expose().as_bytes()))
    }

    pub(crate) fn verify_from(
        &self,
        token: &Token,
        address: &str,
    ) -> Result<Verified, VerifyError> {
        let address = address.parse().unwrap();
        block_on(
            self.keys
                .verifier()
                .verify_from(token.expose().as_bytes(), address),
        )
    }

    /// Returns why a token is denied.
    pub(crate) fn denied(&self, token: &Token) -> Denied {
        match self.verify(token) {
            Err(VerifyError::Denied(denied)) => denied,
            Err(VerifyError::Undecided(undecided)) => panic!("undecided: {undecided}"),
            Ok(verified) => panic!("verified: {:?}", verified.key()),
        }
    }

    /// Returns why a token is denied to a client at this address.
    pub(crate) fn denied_from(&self, token: &Token, address: &str) -> Denied {
        match self.verify_from(token, address) {
            Err(VerifyError::Denied(denied)) => denied,
            Err(VerifyError::Undecided(undecided)) => panic!("undecided: {undecided}"),
            Ok(verified) => panic!("verified: {:?}", verified.key()),
        }
    }

    pub(crate) fn revoke(&self, id: &KeyId) {
        let revoked = block_on(self.keys.issuer().revoke(&operator(), id, Reach::Key));
        assert!(revoked.unwrap().first);
    }

    pub(crate) fn rename(&self, id: &KeyId, to: &str) -> Key {
        let rename = KeyUpdate::new().with_name(name(to));
        self.update(id, &rename).unwrap().key
    }

    pub(crate) fn update(
        &self,
        id: &KeyId,
        update: &KeyUpdate,
    ) -> Result<VersionedKey, IssueError> {
        block_on(self.keys.issuer().update(&operator(), id, update))
    }

    pub(crate) fn rotate(&self, id: &KeyId) -> Result<Issued, IssueError> {
        let rotation = NewRotation::new();
        block_on(self.keys.issuer().rotate(&operator(), id, &rotation))
    }

    /// Returns the key as its owner sees it.
    pub(crate) fn find(&self, id: &KeyId) -> Key {
        block_on(self.keys.issuer().find(&operator(), id))
            .unwrap()
            .key
    }

    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        block_on(self.keys.flush())
    }

    /// Blocks all threads of the hashing pool.
    pub(crate) fn busy_pool(&self) -> BusyPool<'_> {
        BusyPool::new(&self.keys, &self.operator)
    }

    /// Returns the number of records that were read and of Argon2 runs that started during
    /// `action`.
    pub(crate) fn cost(&self, action: impl FnOnce()) -> (u64, u64) {
        let before = (self.store.finds(), self.keys.argon2_runs());
        action();
        let after = (self.store.finds(), self.keys.argon2_runs());
        (after.0 - before.0, after.1 - before.1)
    }
}

fn open(
    store: &Arc<SpyStore>,
    clock: &ManualClock,
    configure: impl FnOnce(Config) -> Config,
) -> Keywright {
    let config = Config::new(prefix())
        .with_scheme(cheap())
        .with_clock(clock.clone());
    let store = Arc::clone(store) as Arc<dyn KeyStore>;
    block_on(Keywright::open(configure(config), store)).unwrap()
}

/// Assembles a token with the id of one key and the secret of another.
pub(crate) fn forge(id: &KeyId, other: &Token) -> Token {
    let prefix = prefix();
    let secret = TokenRef::parse(other.expose().as_bytes(), &prefix)
        .map_err(|error| error.to_string())
        .unwrap()
        .secret();
    Token::assemble(&prefix, Environment::Live, id, &secret)
}
