//! A library over a store that counts what it is asked, with a clock that is set by hand.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use async_trait::async_trait;
use keywright_core::{
    Argon2Params, Caller, Clock, Config, Credential, Denied, Durability, Environment, Issued, Key,
    KeyId, KeyStore, Keywright, Lease, Listing, MemoryStore, Name, NewKey, Page, Prefix, Purge,
    Reach, Record, Rename, Reservation, Reserved, Revocation, Rotation, Scheme, StoreError,
    StoreErrorKind, Timestamp, Token, TokenRef, Verified, VerifyError, Workspace,
};
use pollster::block_on;

/// What happens once, at the next call that it is meant for.
type Once = Mutex<Option<Box<dyn FnOnce() + Send>>>;

fn happen(once: &Once) {
    let what = once.lock().unwrap().take();
    if let Some(what) = what {
        what();
    }
}

/// A clock that is set by hand.
#[derive(Clone)]
pub(crate) struct Hand(Arc<Time>);

struct Time {
    millis: AtomicI64,
    before: Once,
}

impl Hand {
    fn new() -> Self {
        Self(Arc::new(Time {
            millis: AtomicI64::new(1_709_287_200_000),
            before: Once::default(),
        }))
    }

    pub(crate) fn millis(&self) -> i64 {
        self.0.millis.load(Ordering::SeqCst)
    }

    pub(crate) fn turn(&self, millis: i64) {
        self.0.millis.fetch_add(millis, Ordering::SeqCst);
    }

    /// Has something happen before somebody is told the time.
    pub(crate) fn interrupt(&self, what: impl FnOnce() + Send + 'static) {
        *self.0.before.lock().unwrap() = Some(Box::new(what));
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        happen(&self.0.before);
        Timestamp::from_millis(self.millis()).unwrap()
    }
}

/// A store in memory that counts.
#[derive(Default)]
pub(crate) struct Watched {
    inner: MemoryStore,
    /// Instead of the inner store's.
    lease: Option<Arc<Lease>>,
    finds: AtomicU64,
    rehashes: AtomicU64,
    touched: Mutex<Vec<(KeyId, Timestamp)>>,
    after_find: Once,
    before_rehash: Once,
    before_touch: Once,
    touches_to_fail: AtomicU64,
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}

impl Watched {
    pub(crate) fn finds(&self) -> u64 {
        self.finds.load(Ordering::SeqCst)
    }

    /// How many hashes were replaced.
    pub(crate) fn rehashes(&self) -> u64 {
        self.rehashes.load(Ordering::SeqCst)
    }

    /// The uses of a key that were written, in order.
    pub(crate) fn touches(&self, id: &KeyId) -> Vec<i64> {
        let touched = self.touched.lock().unwrap();
        let own = touched.iter().filter(|(touched, _)| touched == id);
        own.map(|(_, time)| time.as_millis()).collect()
    }

    /// The record as it is, without being counted.
    pub(crate) fn record(&self, id: &KeyId) -> Record {
        block_on(self.inner.find(id)).unwrap().unwrap()
    }

    /// Has something happen once a record was read, and before it is handed over.
    pub(crate) fn after_find(&self, what: impl FnOnce() + Send + 'static) {
        *self.after_find.lock().unwrap() = Some(Box::new(what));
    }

    /// Has something happen before a hash is replaced.
    pub(crate) fn before_rehash(&self, what: impl FnOnce() + Send + 'static) {
        *self.before_rehash.lock().unwrap() = Some(Box::new(what));
    }

    /// Has something happen before uses are written.
    pub(crate) fn before_touch(&self, what: impl FnOnce() + Send + 'static) {
        *self.before_touch.lock().unwrap() = Some(Box::new(what));
    }

    /// Lets that many writes of uses fail.
    pub(crate) fn fail_touches(&self, count: u64) {
        self.touches_to_fail.store(count, Ordering::SeqCst);
    }
}

#[async_trait]
impl KeyStore for Watched {
    async fn insert(&self, record: &Record, now: Timestamp) -> Result<(), StoreError> {
        self.inner.insert(record, now).await
    }

    async fn find(&self, id: &KeyId) -> Result<Option<Record>, StoreError> {
        self.finds.fetch_add(1, Ordering::SeqCst);
        let found = self.inner.find(id).await;
        happen(&self.after_find);
        found
    }

    async fn list(&self, workspace: &Workspace, listing: &Listing) -> Result<Page, StoreError> {
        let found = self.inner.list(workspace, listing).await;
        happen(&self.after_find);
        found
    }

    async fn rename(
        &self,
        workspace: &Workspace,
        id: &KeyId,
        version: u64,
        rename: &Rename,
    ) -> Result<Key, StoreError> {
        self.inner.rename(workspace, id, version, rename).await
    }

    async fn revoke(
        &self,
        workspace: &Workspace,
        id: &KeyId,
        reach: Reach,
        now: Timestamp,
    ) -> Result<Revocation, StoreError> {
        self.inner.revoke(workspace, id, reach, now).await
    }

    async fn rotate(
        &self,
        workspace: &Workspace,
        rotation: &Rotation,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.inner.rotate(workspace, rotation, now).await
    }

    async fn rehash(
        &self,
        id: &KeyId,
        version: u64,
        credential: &Credential,
    ) -> Result<(), StoreError> {
        happen(&self.before_rehash);
        self.inner.rehash(id, version, credential).await?;
        self.rehashes.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn touch(&self, uses: &[(KeyId, Timestamp)]) -> Result<(), StoreError> {
        happen(&self.before_touch);
        let to_fail =
            self.touches_to_fail
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                    left.checked_sub(1)
                });
        if to_fail.is_ok() {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "watched"));
        }
        self.touched.lock().unwrap().extend(uses);
        self.inner.touch(uses).await
    }

    async fn reserve(
        &self,
        reservation: &Reservation,
        now: Timestamp,
    ) -> Result<Reserved, StoreError> {
        self.inner.reserve(reservation, now).await
    }

    async fn purge(&self, purge: &Purge) -> Result<u64, StoreError> {
        self.inner.purge(purge).await
    }

    async fn is_empty(&self) -> Result<bool, StoreError> {
        self.inner.is_empty().await
    }

    async fn claim_prefix(&self, prefix: &Prefix) -> Result<Prefix, StoreError> {
        self.inner.claim_prefix(prefix).await
    }

    fn durability(&self) -> Durability {
        self.inner.durability()
    }

    fn lease(&self) -> Arc<Lease> {
        self.lease.clone().unwrap_or_else(|| self.inner.lease())
    }
}

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
        let store = Watched {
            lease: Some(Arc::new(lease)),
            ..Watched::default()
        };
        Self::over(store, choose)
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
        self.issue_new(NewKey::named(name("n")))
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
