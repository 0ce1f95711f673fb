//! A library over a store that counts, with a clock that is set by hand.

use std::{sync::Arc, thread, time::Duration};

use keywright_core::{
    Argon2Params, Caller, Config, Denied, Environment, IssueError, Issued, Key, KeyId, KeyStore,
    Keywright, Lease, Name, NewKey, NewRotation, Prefix, Reach, Rename, Scheme, StoreError,
    StoreErrorKind, Token, TokenRef, Verified, VerifyError, Workspace,
};
use pollster::block_on;

use crate::{hand::Hand, watched::Watched};

/// Argon2id at the least cost that there is.
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

/// Waits for what another thread will have done within seconds.
pub(crate) fn await_that(condition: impl Fn() -> bool) {
    for _ in 0..60_000 {
        if condition() {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("it did not happen within a minute");
}

/// What a store has said against something.
pub(crate) fn kind<T>(outcome: Result<T, IssueError>) -> StoreErrorKind {
    match outcome {
        Err(IssueError::Store(error)) => error.kind(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was done"),
    }
}

/// A store, a clock, and the library over them.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) clock: Hand,
    pub(crate) store: Arc<Watched>,
    pub(crate) keys: Keywright,
}

impl World {
    /// With Argon2id at the least cost.
    pub(crate) fn new() -> Self {
        Self::over(Watched::default(), |config| config)
    }

    pub(crate) fn with(choose: impl FnOnce(Config) -> Config) -> Self {
        Self::over(Watched::default(), choose)
    }

    /// Over a store with this lease.
    pub(crate) fn leased(lease: Lease, choose: impl FnOnce(Config) -> Config) -> Self {
        Self::over(Watched::leased(lease), choose)
    }

    fn over(store: Watched, choose: impl FnOnce(Config) -> Config) -> Self {
        let (clock, store) = (Hand::new(), Arc::new(store));
        let keys = open(&store, &clock, choose);
        Self { clock, store, keys }
    }

    /// The library opened once more, as another process would.
    pub(crate) fn reopened(&self, choose: impl FnOnce(Config) -> Config) -> Self {
        Self {
            keys: open(&self.store, &self.clock, choose),
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

    /// Why a token is denied.
    pub(crate) fn denied(&self, token: &Token) -> Denied {
        match self.verify(token) {
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
        let rename = Rename::new(Some(name(to)), None);
        block_on(self.keys.issuer().rename(&operator(), id, &rename)).unwrap()
    }

    pub(crate) fn rotate(&self, id: &KeyId) -> Result<Issued, IssueError> {
        let rotation = NewRotation::new();
        block_on(self.keys.issuer().rotate(&operator(), id, &rotation))
    }

    /// The key as its owner sees it.
    pub(crate) fn find(&self, id: &KeyId) -> Key {
        block_on(self.keys.issuer().find(&operator(), id)).unwrap()
    }

    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        block_on(self.keys.flush())
    }

    /// How many records were read and how many runs of Argon2 begun meanwhile.
    pub(crate) fn cost(&self, meanwhile: impl FnOnce()) -> (u64, u64) {
        let before = (self.store.finds(), self.keys.argon2_runs());
        meanwhile();
        let after = (self.store.finds(), self.keys.argon2_runs());
        (after.0 - before.0, after.1 - before.1)
    }
}

fn open(store: &Arc<Watched>, clock: &Hand, choose: impl FnOnce(Config) -> Config) -> Keywright {
    let config = Config::new(prefix())
        .with_scheme(cheap())
        .with_clock(clock.clone());
    let store = Arc::clone(store) as Arc<dyn KeyStore>;
    block_on(Keywright::open(choose(config), store)).unwrap()
}

/// The token of one key with the secret of another, and the right checksum.
pub(crate) fn forge(id: &KeyId, other: &Token) -> Token {
    let prefix = prefix();
    let secret = TokenRef::parse(other.expose().as_bytes(), &prefix)
        .map_err(|error| error.to_string())
        .unwrap()
        .secret();
    Token::assemble(&prefix, Environment::Live, id, &secret)
}
