//! A library over memory with a clock that is set by hand, and what must hold after each step.

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
    Caller, Clock, Config, Environment, Expiry, IssueError, Issued, Key, KeyId, KeyStore,
    Keywright, MemoryStore, Name, NewKey, NewRotation, Prefix, Reach, Record, Rename, Scheme,
    Timestamp, Workspace,
};
use proptest::sample::Index;

use crate::{
    acts::{Act, End},
    permissions::{covers, opens},
    tally::Tally,
};

#[derive(Clone)]
struct Hand(Arc<AtomicI64>);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed)).unwrap()
    }
}

/// A key as the test knows it.
struct Made {
    id: KeyId,
    token: String,
}

pub(crate) struct World<'a> {
    tally: &'a Tally,
    clock: Hand,
    store: Arc<MemoryStore>,
    keys: Keywright,
    /// Whom hosts have authenticated otherwise.
    sessions: Vec<Caller>,
    made: RefCell<Vec<Made>>,
}

impl<'a> World<'a> {
    pub(crate) fn new(tally: &'a Tally) -> Self {
        let clock = Hand(Arc::new(AtomicI64::new(1_000_000)));
        let store = Arc::new(MemoryStore::new());
        let config = Config::new(Prefix::parse("sk").unwrap())
            .with_scheme(Scheme::HmacSha256)
            .with_clock(clock.clone());
        let opened = Keywright::open(config, Arc::clone(&store) as Arc<dyn KeyStore>);
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
            keys: block_on(opened).unwrap(),
            sessions,
            made: RefCell::default(),
        }
    }

    pub(crate) fn step(&self, act: &Act) {
        let before = self.records();
        let changed = match act {
            Act::TimePasses(span) => {
                let millis = i64::try_from(span.as_millis()).unwrap();
                self.clock.0.fetch_add(millis, Ordering::Relaxed);
                HashSet::new()
            }
            Act::Create {
                caller,
                permissions,
                environment,
                end,
            } => {
                let Some(caller) = self.caller(*caller) else {
                    return;
                };
                let mut new = NewKey::new(Name::parse("n").unwrap());
                new.permissions.clone_from(permissions);
                new.environment = *environment;
                new.expiry = match (end, self.time_of(*end)) {
                    (End::Now, _) => Expiry::Now,
                    (_, Some(time)) => Expiry::At(time),
                    (_, None) => Expiry::Inherited,
                };
                self.create(&caller, new);
                HashSet::new()
            }
            Act::Rotate {
                caller,
                key,
                overlap,
                end,
            } => {
                let (Some(caller), Some(id)) = (self.caller(*caller), self.key(*key)) else {
                    return;
                };
                let mut rotation = NewRotation::new();
                rotation.overlap = *overlap;
                rotation.expires_at = self.time_of(*end);
                self.rotate(&caller, &before[&id].key, &rotation)
            }
            Act::Rename { caller, key } => {
                let (Some(caller), Some(id)) = (self.caller(*caller), self.key(*key)) else {
                    return;
                };
                self.rename(&caller, &before[&id].key)
            }
            Act::Revoke { caller, key, reach } => {
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
        let may = may_write(caller, now)
            && sees(caller.environment(), environment)
            && new
                .permissions
                .as_ref()
                .is_none_or(|wanted| covers(caller.permissions(), wanted))
            && match new.expiry {
                Expiry::At(end) => may_end(caller, end, now),
                _ => true,
            };
        let outcome = block_on(self.keys.issuer().create(caller, new));
        self.note("create", outcome.as_ref().err(), may);
        if let Ok(issued) = outcome {
            assert_eq!(issued.key.parent.as_ref(), caller.key());
            self.received(caller, issued);
        }
    }

    fn rotate(&self, caller: &Caller, key: &Key, rotation: &NewRotation) -> HashSet<KeyId> {
        let now = self.clock.now();
        let may = may_write(caller, now)
            && may_see(caller, key)
            && key.revoked_at.is_none()
            && key.successor.is_none()
            && !over(key, now)
            && covers(caller.permissions(), &key.permissions)
            && rotation
                .expires_at
                .is_none_or(|end| may_end(caller, end, now));
        let outcome = block_on(self.keys.issuer().rotate(caller, &key.id, rotation));
        self.note("rotate", outcome.as_ref().err(), may);
        let Ok(issued) = outcome else {
            return HashSet::new();
        };
        let successor = &issued.key;
        assert_eq!(successor.parent, key.parent);
        assert_eq!(successor.permissions, key.permissions);
        assert_eq!(successor.environment, key.environment);
        let old = self.record(&key.id).key;
        assert_eq!(old.successor, Some(successor.id));
        assert_eq!(old.revoked_at.is_some(), rotation.overlap.is_zero());
        if !rotation.overlap.is_zero() {
            let end = now.saturating_add(rotation.overlap);
            let end = key.expires_at.map_or(end, |own| own.min(end));
            assert_eq!(old.expires_at, Some(end));
        }
        self.received(caller, issued);
        HashSet::from([key.id])
    }

    fn rename(&self, caller: &Caller, key: &Key) -> HashSet<KeyId> {
        let may =
            may_write(caller, self.clock.now()) && may_see(caller, key) && key.revoked_at.is_none();
        let rename = Rename::new(Some(Name::parse("renamed").unwrap()), None);
        let outcome = block_on(self.keys.issuer().rename(caller, &key.id, &rename));
        self.note("rename", outcome.as_ref().err(), may);
        if outcome.is_ok() {
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
        let may =
            may_write(caller, self.clock.now()) && may_see(caller, key) && !reached.is_empty();
        let outcome = block_on(self.keys.issuer().revoke(caller, &key.id, reach));
        self.note("revoke", outcome.as_ref().err(), may);
        let Ok(revocation) = outcome else {
            return HashSet::new();
        };
        assert_eq!(revocation.count, reached.len() as u64);
        for id in &reached {
            assert_eq!(self.record(id).key.revoked_at, Some(self.clock.now()));
        }
        reached
    }

    /// That whoever has just received a secret has as much themselves.
    fn received(&self, caller: &Caller, issued: Issued) {
        let Issued { key, token, .. } = issued;
        assert!(covers(caller.permissions(), &key.permissions), "{key:?}");
        assert!(sees(caller.environment(), key.environment), "{key:?}");
        assert_eq!(*caller.workspace(), key.workspace);
        let end = |end: Option<Timestamp>| end.unwrap_or(Timestamp::MAX);
        assert!(
            end(key.expires_at) <= end(caller.expires_at()),
            "{key:?} outlives {caller:?}"
        );
        assert_eq!(self.record(&key.id).key, key);
        self.made.borrow_mut().push(Made {
            id: key.id,
            token: token.expose().to_owned(),
        });
    }

    /// That no key but these has changed, that no change gave a key more, and that each token opens
    /// its own key for as long as that is active.
    fn check(&self, before: &HashMap<KeyId, Record>, changed: &HashSet<KeyId>) {
        let now = self.clock.now();
        for made in &*self.made.borrow() {
            let record = self.record(&made.id);
            let key = &record.key;
            if let Some(old) = before.get(&made.id) {
                assert!(*old == record || changed.contains(&made.id), "{key:?}");
                assert_eq!(
                    (
                        &old.key.workspace,
                        old.key.environment,
                        &old.key.permissions
                    ),
                    (&key.workspace, key.environment, &key.permissions)
                );
                assert_eq!(old.key.parent, key.parent);
                assert_eq!(old.credential, record.credential);
                assert!(old.key.successor.is_none_or(|id| key.successor == Some(id)));
                assert!(
                    old.key
                        .revoked_at
                        .is_none_or(|at| key.revoked_at == Some(at))
                );
                let end = |key: &Key| key.expires_at.unwrap_or(Timestamp::MAX);
                assert!(end(key) <= end(&old.key), "{key:?} lives longer");
            }
            let verified = block_on(self.keys.verifier().verify(made.token.as_bytes()));
            let active = key.revoked_at.is_none() && !over(key, now);
            assert_eq!(verified.is_ok(), active, "{key:?}");
            assert!(verified.is_ok_and(|verified| verified.key() == key) || !active);
        }
    }

    /// Somebody whom a host has signed in, or a key that has to prove itself first.
    fn caller(&self, number: Index) -> Option<Caller> {
        let made = self.made.borrow();
        let number = number.index(self.sessions.len() + made.len());
        if let Some(session) = self.sessions.get(number) {
            return Some(session.clone());
        }
        let token = &made[number - self.sessions.len()].token;
        let verified = block_on(self.keys.verifier().verify(token.as_bytes()));
        verified.ok().map(|verified| verified.caller())
    }

    fn key(&self, number: Index) -> Option<KeyId> {
        let made = self.made.borrow();
        (!made.is_empty()).then(|| made[number.index(made.len())].id)
    }

    fn time_of(&self, end: End) -> Option<Timestamp> {
        match end {
            End::In(millis) => {
                Some(Timestamp::from_millis(self.clock.now().as_millis() + millis).unwrap())
            }
            End::LeftOut | End::Now => None,
        }
    }

    fn record(&self, id: &KeyId) -> Record {
        block_on(self.store.find(id)).unwrap().unwrap()
    }

    fn records(&self) -> HashMap<KeyId, Record> {
        let made = self.made.borrow();
        made.iter()
            .map(|made| (made.id, self.record(&made.id)))
            .collect()
    }

    fn note(&self, act: &'static str, refused: Option<&IssueError>, may: bool) {
        assert_eq!(refused.is_none(), may, "{act}: {refused:?}");
        self.tally.note(act, may);
    }
}

fn may_write(caller: &Caller, now: Timestamp) -> bool {
    opens(caller.permissions(), "api_keys:write") && caller.expires_at().is_none_or(|end| now < end)
}

/// A `test` caller has to do with `test` keys alone.
fn sees(caller: Environment, key: Environment) -> bool {
    caller == Environment::Live || key == Environment::Test
}

fn may_see(caller: &Caller, key: &Key) -> bool {
    *caller.workspace() == key.workspace && sees(caller.environment(), key.environment)
}

fn may_end(caller: &Caller, end: Timestamp, now: Timestamp) -> bool {
    now < end && caller.expires_at().is_none_or(|last| end <= last)
}

fn over(key: &Key, now: Timestamp) -> bool {
    key.expires_at.is_some_and(|end| end <= now)
}

/// A key, and all that it created or was rotated into, and they in turn.
fn family(records: &HashMap<KeyId, Record>, top: KeyId) -> HashSet<KeyId> {
    let mut family = HashSet::from([top]);
    let mut unseen = vec![top];
    while let Some(id) = unseen.pop() {
        let children = records
            .values()
            .filter(|record| record.key.parent == Some(id));
        let next = children
            .map(|record| record.key.id)
            .chain(records[&id].key.successor);
        unseen.extend(next.filter(|id| family.insert(*id)).collect::<Vec<_>>());
    }
    family
}
