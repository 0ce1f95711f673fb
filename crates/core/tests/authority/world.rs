//! A library over a store in memory with a manual clock, and the checks after each action.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures_executor::block_on;
use keywright_core::{
    AllowedIps, Attributes, Caller, Clock, Config, Denied, Environment, Event, EventId, Expiry,
    IssueError, Issued, Key, KeyId, Keywright, ListEvents, MemoryStore, Name, NewKey, NewRotation,
    Owner, Prefix, Scheme, Timestamp, VerifyError, Workspace,
    store::{KeyStore, Record},
    testing::ManualClock,
};
use proptest::sample::Index;

use crate::{
    actions::{Action, RequestedExpiry, Target},
    addresses, events,
    oracle::{end_or_max, exceeds, is_active, sees},
    tally::Tally,
};

/// The owners of the sessions.
pub(crate) const OWNERS: [&str; 2] = ["alice", "bob"];

/// A key that the library issued, and its token.
struct IssuedToken {
    id: KeyId,
    token: String,
}

/// A library under test, and the tokens that it issued.
pub(crate) struct World<'a> {
    tally: &'a Tally,
    pub(crate) clock: ManualClock,
    store: Arc<MemoryStore>,
    pub(crate) keys: Keywright,
    pub(crate) max_lifetime: Option<Duration>,
    /// Callers that the host authenticated by other means than a key.
    sessions: Vec<Caller>,
    issued: RefCell<Vec<IssuedToken>>,
}

/// Returns the callers that the host authenticated by other means than a key.
fn sessions() -> Vec<Caller> {
    let caller = |workspace, permissions: &str| {
        Caller::new(
            Workspace::parse(workspace).unwrap(),
            permissions.parse().unwrap(),
        )
    };
    let end = Timestamp::from_millis(1_020_000).unwrap();
    let [alice, bob] = OWNERS.map(|name| Owner::parse(name).unwrap());
    let addresses = |text: &str| text.parse::<AllowedIps>().unwrap();
    let attributes = Attributes::parse(r#"{"plan":"team"}"#).unwrap();
    vec![
        caller("acme", "*"),
        caller("other", "*"),
        caller("acme", "api_keys:*,calls:*").with_expires_at(end),
        caller("acme", "api_keys:write,calls:read").with_environment(Environment::Test),
        caller("acme", "api_keys.own:*,api_keys.self:rotate,calls:*")
            .with_owner(alice)
            .with_attributes(attributes),
        caller("acme", "api_keys.own:write,api_keys:read,calls:read").with_owner(bob.clone()),
        caller("acme", "*")
            .with_owner(bob)
            .with_allowed_ips(addresses("10.0.0.0/8")),
        caller("acme", "api_keys:*,api_keys.self:rotate,calls")
            .with_allowed_ips(addresses("10.1.0.0/16,192.0.2.0/24")),
    ]
}

impl<'a> World<'a> {
    pub(crate) fn new(tally: &'a Tally, max_lifetime: Option<Duration>) -> Self {
        let clock = ManualClock::new(Timestamp::from_millis(1_000_000).unwrap());
        let store = Arc::new(MemoryStore::new());
        let mut config = Config::new(Prefix::parse("sk").unwrap())
            .with_scheme(Scheme::HmacSha256)
            .with_clock(clock.clone());
        if let Some(lifetime) = max_lifetime {
            config = config.with_max_lifetime(lifetime);
        }
        let library = Keywright::open(config, Arc::clone(&store) as Arc<dyn KeyStore>);
        Self {
            tally,
            clock,
            store,
            keys: block_on(library).unwrap(),
            max_lifetime,
            sessions: sessions(),
            issued: RefCell::default(),
        }
    }

    /// Performs an action, and checks its result and all keys.
    pub(crate) fn step(&self, action: &Action) {
        let before = self.records();
        let earlier: HashSet<EventId> = self.events().iter().map(|event| event.id).collect();
        let changed = self.perform(action, &before).unwrap_or_default();
        self.check(&before, &changed);
        let mut events = self.events();
        events.retain(|event| !earlier.contains(&event.id));
        events::check(&before, &self.records(), &events);
    }

    /// Performs an action, and returns the keys that it changed. `None` if there is no such caller
    /// or key.
    fn perform(&self, action: &Action, before: &HashMap<KeyId, Record>) -> Option<HashSet<KeyId>> {
        match action {
            Action::AdvanceTime(span) => {
                self.clock.advance(*span);
                None
            }
            Action::Create {
                caller,
                permissions,
                environment,
                expiry,
                allowed_ips,
            } => {
                let mut new = NewKey::new(Name::parse("n").unwrap());
                new.permissions.clone_from(permissions);
                new.environment = *environment;
                new.allowed_ips.clone_from(allowed_ips);
                new.expiry = match (expiry, self.expiry_time(*expiry)) {
                    (RequestedExpiry::Now, _) => Expiry::Now,
                    (_, Some(time)) => Expiry::At(time),
                    (_, None) => Expiry::Inherited,
                };
                self.create(&self.caller(*caller)?, &new);
                None
            }
            Action::Rotate {
                caller,
                key,
                overlap,
                expiry,
            } => {
                let caller = self.caller(*caller)?;
                let key = &before[&self.target(&caller, *key)?].key;
                let mut rotation = NewRotation::new();
                rotation.overlap = *overlap;
                rotation.expires_at = self.expiry_time(*expiry);
                Some(self.rotate(&caller, key, &rotation))
            }
            Action::Update {
                caller,
                key,
                update,
            } => {
                let caller = self.caller(*caller)?;
                let record = &before[&self.target(&caller, *key)?];
                Some(self.update(&caller, record, update))
            }
            Action::Revoke { caller, key, reach } => {
                let caller = self.caller(*caller)?;
                let id = self.target(&caller, *key)?;
                Some(self.revoke(&caller, before, &before[&id].key, *reach))
            }
            Action::RevokeAll { caller, owner } => {
                let owner = owner.map(|name| Owner::parse(name).unwrap());
                Some(self.revoke_all(&self.caller(*caller)?, before, owner.as_ref()))
            }
            Action::SetAttributes { key, attributes } => {
                let attributes = attributes.map(|json| Attributes::parse(json).unwrap());
                let key = &before[&self.key(*key)?].key;
                Some(self.set_attributes(key, attributes))
            }
        }
    }

    /// Checks that a caller which received a secret has at least the authority of its key.
    pub(crate) fn check_issued(&self, caller: &Caller, issued: Issued) {
        let Issued { key, token, .. } = issued;
        assert!(!exceeds(caller, &key), "{key:?} by {caller:?}");
        assert!(sees(caller.environment(), key.environment), "{key:?}");
        assert_eq!(*caller.workspace(), key.workspace);
        assert!(
            end_or_max(key.expires_at) <= end_or_max(caller.expires_at()),
            "{key:?} outlives {caller:?}"
        );
        assert_eq!(self.record(&key.id).key, key);
        self.issued.borrow_mut().push(IssuedToken {
            id: key.id,
            token: token.expose().to_owned(),
        });
    }

    /// Checks that only the `changed` keys have changed, and that their fixed fields have not. Also
    /// checks that no key outlives the maximum lifetime, and that each token is accepted exactly
    /// while its key is active, and only from the addresses that the key allows.
    fn check(&self, before: &HashMap<KeyId, Record>, changed: &HashSet<KeyId>) {
        let now = self.clock.now();
        for token in &*self.issued.borrow() {
            let record = self.record(&token.id);
            let key = &record.key;
            if let Some(old) = before.get(&token.id) {
                assert!(*old == record || changed.contains(&token.id), "{key:?}");
                assert_eq!(fixed_parts(&old.key), fixed_parts(key));
                assert_eq!(old.credential, record.credential);
                assert!(old.key.successor.is_none_or(|id| key.successor == Some(id)));
                let revoked_at = old.key.revoked_at;
                assert!(revoked_at.is_none_or(|at| key.revoked_at == Some(at)));
            }
            assert!(end_or_max(key.expires_at) <= end_or_max(self.latest_expiry(key.created_at())));
            let active = is_active(key, now);
            let (text, verifier) = (token.token.as_bytes(), self.keys.verifier());
            let unknown = (None, key.allowed_ips.is_none());
            let known = addresses::membership(key.allowed_ips.as_ref());
            let known = known.map(|(address, contained)| (Some(address), contained));
            for (address, allowed) in known.chain([unknown]) {
                let verified = match address {
                    Some(address) => block_on(verifier.verify_from(text, address)),
                    None => block_on(verifier.verify(text)),
                };
                match verified {
                    Ok(verified) => {
                        assert!(active && allowed, "{key:?} from {address:?}");
                        let mut verified = verified.key().clone();
                        verified.last_used_at = None;
                        assert_eq!(verified, *key);
                    }
                    Err(VerifyError::Denied(Denied::AddressNotAllowed(_))) => {
                        assert!(active && !allowed, "{key:?} from {address:?}");
                    }
                    Err(error) => assert!(!active, "{key:?}: {error}"),
                }
            }
        }
    }

    /// Returns a caller that the host authenticated, or the caller of a token if it is accepted.
    fn caller(&self, index: Index) -> Option<Caller> {
        let issued = self.issued.borrow();
        let index = index.index(self.sessions.len() + issued.len());
        if let Some(session) = self.sessions.get(index) {
            return Some(session.clone());
        }
        let IssuedToken { id, token } = &issued[index - self.sessions.len()];
        let address = addresses::inside(self.record(id).key.allowed_ips.as_ref());
        let verified = block_on(self.keys.verifier().verify_from(token.as_bytes(), address));
        verified.ok().map(|verified| verified.caller())
    }

    fn target(&self, caller: &Caller, target: Target) -> Option<KeyId> {
        match target {
            Target::Itself => caller.key().copied(),
            Target::Any(index) => self.key(index),
        }
    }

    fn key(&self, index: Index) -> Option<KeyId> {
        let issued = self.issued.borrow();
        (!issued.is_empty()).then(|| issued[index.index(issued.len())].id)
    }

    pub(crate) fn expiry_time(&self, expiry: RequestedExpiry) -> Option<Timestamp> {
        match expiry {
            RequestedExpiry::In(millis) => {
                Some(Timestamp::from_millis(self.clock.now().as_millis() + millis).unwrap())
            }
            RequestedExpiry::Omitted | RequestedExpiry::Now => None,
        }
    }

    /// Returns the latest expiry that the policy allows for a key that was created at this time.
    pub(crate) fn latest_expiry(&self, created_at: Timestamp) -> Option<Timestamp> {
        let lifetime = self.max_lifetime?;
        Some(created_at.saturating_add(lifetime))
    }

    /// Returns a record without its last use, which is written in the background.
    pub(crate) fn record(&self, id: &KeyId) -> Record {
        let mut record = block_on(self.store.find(id)).unwrap().unwrap();
        record.key.last_used_at = None;
        record
    }

    /// Returns the events of all workspaces.
    fn events(&self) -> Vec<Event> {
        let all = ListEvents::new().with_limit(u32::MAX);
        let workspaces = ["acme", "other"].map(|name| Workspace::parse(name).unwrap());
        let pages = workspaces.map(|workspace| {
            let page = self.store.events(&workspace, Environment::Live, &all);
            block_on(page).unwrap().events
        });
        pages.concat()
    }

    fn records(&self) -> HashMap<KeyId, Record> {
        let issued = self.issued.borrow();
        issued
            .iter()
            .map(|token| (token.id, self.record(&token.id)))
            .collect()
    }

    /// Checks that the action succeeded exactly if the caller is permitted to perform it.
    pub(crate) fn check_result(
        &self,
        action: &'static str,
        error: Option<&IssueError>,
        permitted: bool,
    ) {
        assert_eq!(error.is_none(), permitted, "{action}: {error:?}");
        self.tally.record(action, permitted);
    }
}

/// Returns a copy of a key with only the fields that never change.
fn fixed_parts(key: &Key) -> Key {
    let mut fixed = Key::new(
        key.id,
        key.workspace.clone(),
        key.environment,
        Name::parse("n").unwrap(),
        keywright_core::Permissions::default(),
    );
    fixed.owner.clone_from(&key.owner);
    fixed.parent = key.parent;
    fixed.predecessor = key.predecessor;
    fixed.rotated_by = key.rotated_by;
    fixed
}
