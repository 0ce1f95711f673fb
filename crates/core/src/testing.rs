//! Tools for the tests of hosts: a manual clock, predictable randomness, and keys in any state.
//!
//! Enable the feature `testing` for tests only, in `[dev-dependencies]`.
//!
//! A test of a whole service opens the library over a [`MemoryStore`](crate::MemoryStore), with
//! [`Scheme::HmacSha256`](crate::Scheme::HmacSha256), which hashes in microseconds, and
//! [inserts](insert) the keys that it needs:
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//!
//! use keywright_core::{
//!     Attributes, Config, Denied, Environment, Key, KeyId, Keywright, MemoryStore, Name, Prefix,
//!     Scheme, Timestamp, VerifyError, Workspace,
//!     testing::{self, ManualClock},
//! };
//!
//! # futures_executor::block_on(async {
//! let clock = ManualClock::new(Timestamp::parse("2030-01-01T00:00:00Z")?);
//! let config = Config::new(Prefix::parse("acme")?)
//!     .with_scheme(Scheme::HmacSha256)
//!     .with_clock(clock.clone());
//! let keys = Keywright::open(config, Arc::new(MemoryStore::new())).await?;
//!
//! let mut key = Key::new(
//!     KeyId::parse("key_0U5lKtf600000000")?,
//!     Workspace::parse("acme")?,
//!     Environment::Live,
//!     Name::parse("CI")?,
//!     "calls:read".parse()?,
//! );
//! key.attributes = Some(Attributes::parse(r#"{"plan":"pro"}"#)?);
//! key.expires_at = Some(Timestamp::parse("2030-01-02T00:00:00Z")?);
//! let token = testing::insert(&keys, key.clone()).await?;
//!
//! let verified = keys.verifier().verify(token.expose().as_bytes()).await?;
//! assert_eq!(verified.key(), &key);
//!
//! clock.advance(Duration::from_secs(24 * 60 * 60));
//! let expired = keys.verifier().verify(token.expose().as_bytes()).await;
//! assert!(matches!(expired, Err(VerifyError::Denied(Denied::Expired(_)))));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! A test of one handler needs no store. Create the handler's argument directly: a [`Verified`]
//! with [`verified`], or a [`Caller`](crate::Caller) with `Caller::from(&key)`.

use std::{sync::Arc, time::Duration};

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::{
    Clock, Entropy, IssueError, Key, Keywright, Minted, Timestamp, Token, Verified,
    error::RandomError,
    store::Record,
    sync::{AtomicU64, Mutex, Ordering, PoisonError},
};

/// A clock that changes only when a test sets or advances it. Clones share the time.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<Timestamp>>);

impl ManualClock {
    /// Creates a clock that shows this time.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(now)))
    }

    /// Sets the time, which may be earlier than before.
    pub fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Moves the time forward.
    pub fn advance(&self, span: Duration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.saturating_add(span);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Randomness that a seed determines: each run of a test draws the same ids and secrets. Clones
/// share the sequence.
///
/// **Its tokens are not secret.** Anyone who knows the seed can compute them.
///
/// ```
/// use keywright_core::{Entropy, testing::SeededEntropy};
///
/// let [mut first, mut second] = [[0; 32]; 2];
/// SeededEntropy::new(7).fill(&mut first)?;
/// SeededEntropy::new(7).fill(&mut second)?;
/// assert_eq!(first, second);
/// # Ok::<(), keywright_core::error::RandomError>(())
/// ```
#[derive(Clone, Debug)]
pub struct SeededEntropy {
    seed: u64,
    calls: Arc<AtomicU64>,
}

impl SeededEntropy {
    /// Creates a source with this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            calls: Arc::new(AtomicU64::new(0)),
        }
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, seed: &mut [u8; 32]) -> Result<(), RandomError> {
        let mut random = ChaCha20Rng::seed_from_u64(self.seed);
        random.set_stream(self.calls.fetch_add(1, Ordering::Relaxed));
        random.fill_bytes(seed);
        Ok(())
    }
}

/// Inserts a key as it is, in any state and with any fields, and returns its token. Checks no
/// permission.
///
/// The key is hashed with the configured scheme and pepper. A key with a parent is inserted only
/// if the store has the parent.
///
/// # Errors
///
/// [`IssueError::Prefix`], [`IssueError::Random`], [`IssueError::Hash`] and [`IssueError::Store`],
/// as for [`Issuer::create`](crate::Issuer::create). The store's error is
/// [`AlreadyExists`](crate::store::StoreErrorKind::AlreadyExists) if the id is taken.
pub async fn insert(keys: &Keywright, key: Key) -> Result<Token, IssueError> {
    let issuer = keys.issuer();
    issuer.claim_prefix().await?;
    let Minted {
        token, credential, ..
    } = issuer
        .mint_with_id(&key.workspace, key.environment, |_| key.id)
        .await?;
    let created_at = key.created_at();
    let record = Record::new(key, credential);
    keys.verifier()
        .store()
        .insert(&record, created_at, None)
        .await?;
    Ok(token)
}

/// Creates a [`Verified`] for a key, without a token or a store.
///
/// No [`Keywright`] trusts it: [`Verifier::trusts`](crate::Verifier::trusts) returns `false` for
/// its caller, and an [`Issuer`](crate::Issuer) rejects the caller with
/// [`IssueError::CallerForeign`]. For a test of a handler that calls the issuer, [`insert`] the key
/// and verify its token.
///
/// ```
/// use keywright_core::{
///     Environment, Key, KeyId, Name, Permission, Permissions, Verified, Workspace, testing,
/// };
///
/// fn may_read(verified: &Verified) -> bool {
///     verified.caller().may(&Permission::parse("calls:read").expect("a permission"))
/// }
///
/// let key = Key::new(
///     KeyId::parse("key_0U5lKtf600000000")?,
///     Workspace::parse("acme")?,
///     Environment::Live,
///     Name::parse("CI")?,
///     Permissions::all(),
/// );
/// assert!(may_read(&testing::verified(key)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn verified(key: Key) -> Verified {
    Verified::without_store(key)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use futures_executor::block_on;

    use super::*;
    use crate::{
        Config, Denied, Environment, KeyId, MemoryStore, Name, NewKey, Pepper, PepperId,
        PepperRing, Permissions, Prefix, Scheme, VerifyError, Workspace, store::StoreErrorKind,
    };

    fn key(last: char) -> Key {
        Key::new(
            KeyId::parse(&format!("key_0U5lKtf60000000{last}")).unwrap(),
            Workspace::parse("acme").unwrap(),
            Environment::Live,
            Name::parse("n").unwrap(),
            Permissions::all(),
        )
    }

    fn open(configure: impl FnOnce(Config) -> Config) -> Keywright {
        let config = Config::new(Prefix::parse("sk").unwrap()).with_scheme(Scheme::HmacSha256);
        block_on(Keywright::open(
            configure(config),
            Arc::new(MemoryStore::new()),
        ))
        .unwrap()
    }

    #[test]
    fn a_clock_stands_still_until_it_is_moved_and_clones_share_the_time() {
        let time = |millis| Timestamp::from_millis(millis).unwrap();
        let clock = ManualClock::new(time(5));
        assert_eq!([clock.now(), clock.now()], [time(5); 2]);
        let clone = clock.clone();
        clone.advance(Duration::from_millis(3));
        assert_eq!(clock.now(), time(8));
        clock.set(time(2));
        assert_eq!((clone.now(), clone.coarse()), (time(2), time(2)));
        clock.advance(Duration::MAX);
        assert_eq!(clone.now(), Timestamp::MAX);
    }

    #[test]
    fn a_seed_determines_all_draws_and_no_two_draws_are_equal() {
        let draw = |entropy: &SeededEntropy| {
            let mut seed = [0; 32];
            entropy.fill(&mut seed).unwrap();
            seed
        };
        let draws = |seed| {
            let entropy = SeededEntropy::new(seed);
            let other = entropy.clone();
            [draw(&entropy), draw(&other), draw(&entropy)]
        };
        assert_eq!(draws(7), draws(7));
        let different: HashSet<_> = [draws(7), draws(8)].concat().into_iter().collect();
        assert_eq!(different.len(), 6);
    }

    #[test]
    fn a_seed_determines_the_token_of_a_new_key() {
        let tokens = [1, 1, 2].map(|seed| {
            let clock = ManualClock::new(Timestamp::from_millis(1_000).unwrap());
            let keys = open(|config| {
                config
                    .with_clock(clock)
                    .with_entropy(SeededEntropy::new(seed))
            });
            let operator =
                crate::Caller::new(Workspace::parse("acme").unwrap(), Permissions::all());
            let new = NewKey::new(Name::parse("n").unwrap());
            let issued = block_on(keys.issuer().create(&operator, new)).unwrap();
            issued.token.expose().to_owned()
        });
        assert_eq!(tokens[0], tokens[1]);
        assert_ne!(tokens[0], tokens[2]);
    }

    #[test]
    fn a_key_is_inserted_in_any_state_with_the_configured_pepper() {
        let pepper = Pepper::new(PepperId::parse("p1").unwrap(), &[7; 32]).unwrap();
        let peppers = PepperRing::default().with_newest(pepper).unwrap();
        let keys = open(|config| config.with_peppers(peppers));
        let insert = |change: fn(&mut Key), last| {
            let mut key = key(last);
            change(&mut key);
            block_on(insert(&keys, key)).unwrap()
        };
        let verify = |token: &Token| block_on(keys.verifier().verify(token.expose().as_bytes()));
        let active = insert(|key| key.successor = Some(key.id), '0');
        assert_eq!(verify(&active).unwrap().key().successor, Some(key('0').id));
        let revoked = insert(|key| key.revoked_at = Some(Timestamp::MAX), '1');
        let expired = insert(|key| key.expires_at = Some(key.created_at()), '2');
        let disabled = insert(|key| key.enabled = false, '3');
        for (token, reason) in [
            (revoked, Denied::Revoked(key('1').id)),
            (expired, Denied::Expired(key('2').id)),
            (disabled, Denied::Disabled(key('3').id)),
        ] {
            let denied = verify(&token);
            assert!(matches!(denied, Err(VerifyError::Denied(denied)) if denied == reason));
        }

        let again = block_on(super::insert(&keys, key('0'))).map(drop);
        assert!(
            matches!(again, Err(IssueError::Store(error)) if error.kind() == StoreErrorKind::AlreadyExists)
        );
    }

    #[test]
    fn no_instance_trusts_a_verified_key_that_was_made_without_a_store() {
        let keys = open(|config| config);
        block_on(insert(&keys, key('0'))).unwrap();
        let verified = verified(key('0'));
        assert_eq!(verified.key(), &key('0'));
        assert_eq!(verified.last_used_at(), None);
        assert!(!keys.verifier().has_verified(&verified));
        let rejected = block_on(keys.issuer().find(&verified.caller(), &key('0').id));
        assert!(matches!(rejected, Err(IssueError::CallerForeign)));
    }
}
