//! A library over a store in memory with a manual clock, and the checks after each action.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use futures_executor::block_on;
use keywright_core::{
    Caller, Clock, Config, Environment, Expiry, IssueError, Issued, Key, KeyId, KeyUpdate,
    Keywright, MemoryStore, Name, NewKey, NewRotation, Prefix, Reach, Scheme, Timestamp, Workspace,
    store::{KeyStore, Record},
};
use proptest::sample::Index;

use crate::{
    actions::{Action, RequestedExpiry},
    permissions::{grants, includes},
    tally::Tally,
};

/// A clock that only the test advances.
#[derive(Clone)]
struct ManualClock(Arc<AtomicI64>);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed)).unwrap()
    }
}

/// A key that the library issued, and its token.
struct IssuedToken {
    id: KeyId,
    token: String,
}

/// A library under test, and the tokens that it issued.
pub(crate) struct World<'a> {
    tally: &'a Tally,
    clock: ManualClock,
    store: Arc<MemoryStore>,
    keys: Keywright,
    /// Callers that the host authenticated by other means than a key.
    sessions: Vec<Caller>,
    issued: RefCell<Vec<IssuedToken>>,
}

impl<'a> World<'a> {
    pub(crate) fn new(tally: &'a Tally) -> Self {
        let clock = ManualClock(Arc::new(AtomicI64::new(1_000_000)));
        let store = Arc::new(MemoryStore::new());
        let config = Config::new(Prefix::parse("sk").unwrap())
            .with_scheme(Scheme::HmacSha256)
            .with_clock(clock.clone());
        let library = Keywright::open(config, Arc::clone(&store) as Arc<dyn KeyStore>);
        let caller = |workspace, permissions: &str| {
            Caller::new(
                Workspace::parse(workspace).unwrap(),
                permissions.parse().unwrap(),
            )
        };
        let end = Timestamp::from_millis(1_020_000).unwrap();
        let sessions = vec![
            caller("acme", "*"),
            caller("other", "*"),
            caller("acme", "api_keys:*,calls:*").with_expires_at(end),
            caller("acme", "api_keys:write,calls:read").with_environment(Environment::Test),
        ];
        Self {
            tally,
            clock,
            store,
            keys: block_on(library).unwrap(),
            sessions,
            issued: RefCell::default(),
        }
    }

    /// Performs an action, and checks its result and all keys.
    pub(crate) fn step(&self, action: &Action) {
        let before = self.records();
        let changed = match action {
            Action::AdvanceTime(span) => {
                let millis = i64::try_from(span.as_millis()).unwrap();
                self.clock.0.fetch_add(millis, Ordering::Relaxed);
                HashSet::new()
            }
            Action::Create {
                caller,
                permissions,
                environment,
                expiry,
            } => {
                let Some(caller) = self.caller(*caller) else {
                    return;
                };
                let mut new = NewKey::new(Name::parse("n").unwrap());
                new.permissions.clone_from(permissions);
                new.environment = *environment;
                new.expiry = match (expiry, self.expiry_time(*expiry)) {
                    (RequestedExpiry::Now, _) => Expiry::Now,
                    (_, Some(time)) => Expiry::At(time),
                    (_, None) => Expiry::Inherited,
                };
                self.create(&caller, new);
                HashSet::new()
            }
            Action::Rotate {
                caller,
                key,
                overlap,
                expiry,
            } => {
                let (Some(caller), Some(id)) = (self.caller(*caller), self.key(*key)) else {
                    return;
                };
                let mut rotation = NewRotation::new();
                rotation.overlap = *overlap;
                rotation.expires_at = self.expiry_time(*expiry);
                self.rotate(&caller, &before[&id].key, &rotation)
            }
            Action::Rename { caller, key } => {
                let (Some(caller), Some(id)) = (self.caller(*caller), self.key(*key)) else {
                    return;
                };
                self.rename(&caller, &before[&id].key)
            }
            Action::Revoke { caller, key, reach } => {
                let (Some(caller), Some(id)) = (self.caller(*caller), self.key(*key)) else {
                    return;
                };
                self.revoke(&caller, &before, &before[&id].key, *reach)
            }
        };
        self.check(&before, &changed);
    }

    fn create(&self, caller: &Caller, new: NewKey) {
        let now = self.clock.now();
        let environment = new.environment.unwrap_or(caller.environment());
        let permitted = can_write(caller, now)
            && sees(caller.environment(), environment)
            && new
                .permissions
                .as_ref()
                .is_none_or(|requested| includes(caller.permissions(), requested))
            && match new.expiry {
                Expiry::At(end) => can_expire_at(caller, end, now),
                _ => true,
            };
        let result = block_on(self.keys.issuer().create(caller, new));
        self.check_result("create", result.as_ref().err(), permitted);
        if let Ok(issued) = result {
            assert_eq!(issued.key.parent.as_ref(), caller.key());
            self.check_issued(caller, issued);
        }
    }

    fn rotate(&self, caller: &Caller, key: &Key, rotation: &NewRotation) -> HashSet<KeyId> {
        let now = self.clock.now();
        let permitted = can_write(caller, now)
            && can_see(caller, key)
            && key.revoked_at.is_none()
            && key.successor.is_none()
            && !is_expired(key, now)
            && includes(caller.permissions(), &key.permissions)
            && rotation
                .expires_at
                .is_none_or(|end| can_expire_at(caller, end, now));
        let result = block_on(self.keys.issuer().rotate(caller, &key.id, rotation));
        self.check_result("rotate", result.as_ref().err(), permitted);
        let Ok(issued) = result else {
            return HashSet::new();
        };
        let successor = &issued.key;
        assert_eq!(successor.parent, key.parent);
        assert_eq!(successor.rotated_by.as_ref(), caller.key());
        assert_eq!(successor.permissions, key.permissions);
        assert_eq!(successor.environment, key.environment);
        let predecessor = self.record(&key.id).key;
        assert_eq!(predecessor.successor, Some(successor.id));
        assert_eq!(predecessor.revoked_at.is_some(), rotation.overlap.is_zero());
        if !rotation.overlap.is_zero() {
            let end = now.saturating_add(rotation.overlap);
            let end = key.expires_at.map_or(end, |old| old.min(end));
            assert_eq!(predecessor.expires_at, Some(end));
        }
        self.check_issued(caller, issued);
        HashSet::from([key.id])
    }

    fn rename(&self, caller: &Caller, key: &Key) -> HashSet<KeyId> {
        let now = self.clock.now();
        let permitted = can_write(caller, now)
            && can_see(caller, key)
            && key.revoked_at.is_none()
            && !is_expired(key, now)
            && includes(caller.permissions(), &key.permissions);
        let rename = KeyUpdate::new().with_name(Name::parse("renamed").unwrap());
        let result = block_on(self.keys.issuer().update(caller, &key.id, &rename));
        self.check_result("rename", result.as_ref().err(), permitted);
        if result.is_ok() {
            let mut expected = key.clone();
            expected.name = Name::parse("renamed").unwrap();
            assert_eq!(self.record(&key.id).key, expected);
            return HashSet::from([key.id]);
        }
        HashSet::new()
    }

    fn revoke(
        &self,
        caller: &Caller,
        before: &HashMap<KeyId, Record>,
        key: &Key,
        reach: Reach,
    ) -> HashSet<KeyId> {
        let mut reached = match reach {
            Reach::Key => HashSet::from([key.id]),
            Reach::Descendants => family(before, key.id),
        };
        reached.retain(|id| before[id].key.revoked_at.is_none());
        let is_itself = caller.key() == Some(&key.id);
        let permitted = (is_itself || can_write(caller, self.clock.now()))
            && can_see(caller, key)
            && (is_itself || includes(caller.permissions(), &key.permissions))
            && !reached.is_empty();
        let result = block_on(self.keys.issuer().revoke(caller, &key.id, reach));
        self.check_result("revoke", result.as_ref().err(), permitted);
        let Ok(revocation) = result else {
            return HashSet::new();
        };
        assert_eq!(revocation.count, reached.len() as u64);
        for id in &reached {
            assert_eq!(self.record(id).key.revoked_at, Some(self.clock.now()));
        }
        reached
    }

    /// Checks that a caller which received a secret has at least the authority of its key.
    fn check_issued(&self, caller: &Caller, issued: Issued) {
        let Issued { key, token, .. } = issued;
        assert!(includes(caller.permissions(), &key.permissions), "{key:?}");
        assert!(sees(caller.environment(), key.environment), "{key:?}");
        assert_eq!(*caller.workspace(), key.workspace);
        let end = |end: Option<Timestamp>| end.unwrap_or(Timestamp::MAX);
        assert!(
            end(key.expires_at) <= end(caller.expires_at()),
            "{key:?} outlives {caller:?}"
        );
        assert_eq!(self.record(&key.id).key, key);
        self.issued.borrow_mut().push(IssuedToken {
            id: key.id,
            token: token.expose().to_owned(),
        });
    }

    /// Checks that only the `changed` keys have changed, that no change extended the authority of a
    /// key, and that each token is accepted exactly while its key is active.
    fn check(&self, before: &HashMap<KeyId, Record>, changed: &HashSet<KeyId>) {
        let now = self.clock.now();
        for token in &*self.issued.borrow() {
            let record = self.record(&token.id);
            let key = &record.key;
            if let Some(old) = before.get(&token.id) {
                assert!(*old == record || changed.contains(&token.id), "{key:?}");
                assert_eq!(
                    (
                        &old.key.workspace,
                        old.key.environment,
                        &old.key.permissions
                    ),
                    (&key.workspace, key.environment, &key.permissions)
                );
                assert_eq!(old.key.parent, key.parent);
                assert_eq!(old.key.rotated_by, key.rotated_by);
                assert_eq!(old.credential, record.credential);
                assert!(old.key.successor.is_none_or(|id| key.successor == Some(id)));
                assert!(
                    old.key
                        .revoked_at
                        .is_none_or(|at| key.revoked_at == Some(at))
                );
                let end = |key: &Key| key.expires_at.unwrap_or(Timestamp::MAX);
                assert!(
                    end(key) <= end(&old.key),
                    "the expiry of {key:?} was extended"
                );
            }
            let verified = block_on(self.keys.verifier().verify(token.token.as_bytes()));
            let active = key.revoked_at.is_none() && !is_expired(key, now);
            assert_eq!(verified.is_ok(), active, "{key:?}");
            assert!(verified.is_ok_and(|verified| verified.key() == key) || !active);
        }
    }

    /// Returns a caller that the host authenticated, or the caller of a token if it is accepted.
    fn caller(&self, index: Index) -> Option<Caller> {
        let issued = self.issued.borrow();
        let index = index.index(self.sessions.len() + issued.len());
        if let Some(session) = self.sessions.get(index) {
            return Some(session.clone());
        }
        let token = &issued[index - self.sessions.len()].token;
        let verified = block_on(self.keys.verifier().verify(token.as_bytes()));
        verified.ok().map(|verified| verified.caller())
    }

    fn key(&self, index: Index) -> Option<KeyId> {
        let issued = self.issued.borrow();
        (!issued.is_empty()).then(|| issued[index.index(issued.len())].id)
    }

    fn expiry_time(&self, expiry: RequestedExpiry) -> Option<Timestamp> {
        match expiry {
            RequestedExpiry::In(millis) => {
                Some(Timestamp::from_millis(self.clock.now().as_millis() + millis).unwrap())
            }
            RequestedExpiry::Omitted | RequestedExpiry::Now => None,
        }
    }

    fn record(&self, id: &KeyId) -> Record {
        block_on(self.store.find(id)).unwrap().unwrap()
    }

    fn records(&self) -> HashMap<KeyId, Record> {
        let issued = self.issued.borrow();
        issued
            .iter()
            .map(|token| (token.id, self.record(&token.id)))
            .collect()
    }

    /// Checks that the action succeeded exactly if the caller is permitted to perform it.
    fn check_result(&self, action: &'static str, error: Option<&IssueError>, permitted: bool) {
        assert_eq!(error.is_none(), permitted, "{action}: {error:?}");
        self.tally.record(action, permitted);
    }
}

/// Whether the caller may change keys at `now`.
fn can_write(caller: &Caller, now: Timestamp) -> bool {
    grants(caller.permissions(), "api_keys:write")
        && caller.expires_at().is_none_or(|end| now < end)
}

/// Whether a caller of this environment sees a key. A `test` caller sees only `test` keys.
fn sees(caller: Environment, key: Environment) -> bool {
    caller == Environment::Live || key == Environment::Test
}

/// Whether the caller sees the key.
fn can_see(caller: &Caller, key: &Key) -> bool {
    *caller.workspace() == key.workspace && sees(caller.environment(), key.environment)
}

/// Whether the caller may issue a key that expires at `end`.
fn can_expire_at(caller: &Caller, end: Timestamp, now: Timestamp) -> bool {
    now < end && caller.expires_at().is_none_or(|last| end <= last)
}

fn is_expired(key: &Key, now: Timestamp) -> bool {
    key.expires_at.is_some_and(|end| end <= now)
}

/// Returns a key and its descendants: the keys that it created, was rotated into, or received by
/// rotating another key, and their descendants.
fn family(records: &HashMap<KeyId, Record>, top: KeyId) -> HashSet<KeyId> {
    let mut family = HashSet::from([top]);
    let mut unvisited = vec![top];
    while let Some(id) = unvisited.pop() {
        let received = records
            .values()
            .filter(|record| [record.key.parent, record.key.rotated_by].contains(&Some(id)));
        let next = received
            .map(|record| record.key.id)
            .chain(records[&id].key.successor);
        unvisited.extend(next.filter(|id| family.insert(*id)).collect::<Vec<_>>());
    }
    family
}
