//! A client of the store that records which writes were acknowledged, and their events.

use std::{
    collections::{BTreeMap, HashSet},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use futures_executor::block_on;
use keywright_assurance::inputs::{ManualClock, SequentialEntropy};
use keywright_core::{
    Actor, Attributes, Config, Environment, Event, EventId, EventKind, EventOrder, Key, KeyId,
    Keywright, ListEvents, MemoryStore, Name, OpenError, Prefix, Reach, Scheme, Status, Timestamp,
    VerifyError, Workspace,
    store::{KeyStore, Record, Retire, Rotation, Settings, StoreError},
};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use crate::random::draw;

/// Records by id.
type Records = BTreeMap<KeyId, Record>;

/// A write, and the result of the store.
struct Attempt {
    /// The records that the write changes.
    changed: Records,
    /// The event that the write appends.
    event: Option<Event>,
    done: Result<(), StoreError>,
}

/// Mints the tokens of all clients, and has the time. Every run mints the same tokens.
pub(crate) struct Mint {
    entropy: SequentialEntropy,
    keys: Keywright,
    pub(crate) now: Timestamp,
}

impl Mint {
    pub(crate) fn new() -> Self {
        let entropy = SequentialEntropy::default();
        let keys = Self::open(&entropy, Arc::new(MemoryStore::new())).unwrap();
        let now = keys.issuer().now();
        Self { entropy, keys, now }
    }

    fn open(entropy: &SequentialEntropy, store: Arc<dyn KeyStore>) -> Result<Keywright, OpenError> {
        let config = Config::new(prefix())
            .with_scheme(Scheme::HmacSha256)
            .with_entropy(entropy.clone())
            .with_clock(ManualClock::new());
        block_on(Keywright::open(config, store))
    }
}

fn prefix() -> Prefix {
    Prefix::parse("sk").unwrap()
}

/// A client. No other client changes its keys, so it can predict the state of each.
pub(crate) struct Client {
    random: ChaCha8Rng,
    number: usize,
    workspace: Workspace,
    tokens: BTreeMap<KeyId, String>,
    /// The state after the last acknowledged write.
    acknowledged: Records,
    /// The events of the acknowledged writes, from the oldest to the newest.
    events: Vec<Event>,
    /// The changes of a write that failed. The store must contain all of them and the event, or
    /// none.
    unconfirmed: Records,
    unconfirmed_event: Option<Event>,
    /// The number of events that were made, also for writes that failed.
    events_made: usize,
    /// The number of acknowledged writes.
    pub(crate) writes: u64,
}

impl Client {
    pub(crate) fn new(seed: u64, number: usize) -> Self {
        Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            number,
            workspace: Workspace::parse(&format!("client-{number}")).unwrap(),
            tokens: BTreeMap::new(),
            acknowledged: Records::new(),
            events: Vec::new(),
            unconfirmed: Records::new(),
            unconfirmed_event: None,
            events_made: 0,
            writes: 0,
        }
    }

    /// The ids of the keys that it has.
    pub(crate) fn ids(&self) -> Vec<KeyId> {
        self.acknowledged.keys().copied().collect()
    }

    /// The number of keys that it has.
    pub(crate) fn keys(&self) -> usize {
        self.acknowledged.len()
    }

    /// The number of events that it has.
    pub(crate) fn events(&self) -> usize {
        self.events.len()
    }

    /// Performs one write of a random kind. After a failed write, call
    /// [`reconcile`](Self::reconcile) before the next write.
    pub(crate) fn write(&mut self, mint: &Mint, store: &dyn KeyStore) -> Result<(), StoreError> {
        assert!(
            self.unconfirmed.is_empty(),
            "the failed write was not reconciled"
        );
        let Attempt {
            changed,
            event,
            done,
        } = self.try_write(mint, store);
        match done {
            Ok(()) => {
                self.acknowledged.extend(changed);
                self.events.extend(event);
                self.writes += 1;
                Ok(())
            }
            Err(error) => {
                self.unconfirmed = changed;
                self.unconfirmed_event = event;
                Err(error)
            }
        }
    }

    fn try_write(&mut self, mint: &Mint, store: &dyn KeyStore) -> Attempt {
        let Some(mut record) = self.any_active(mint) else {
            return self.create(mint, store, None);
        };
        let id = record.key.id;
        match draw(&mut self.random, 100) {
            0..30 => self.create(mint, store, None),
            30..50 => self.create(mint, store, Some(&record.key)),
            50..65 => self.update(mint, store),
            65..75 => self.revoke(mint, store, id, Reach::Key),
            75..80 => self.revoke(mint, store, id, Reach::Descendants),
            80..95 if record.key.successor.is_none() => {
                let caller = match draw(&mut self.random, 2) {
                    0 => None,
                    _ => self.any_active(mint),
                };
                self.rotate(mint, store, record, caller)
            }
            _ => {
                let used = Timestamp::from_millis(mint.now.as_millis() + 1).unwrap();
                record.key.last_used_at = Some(used);
                Attempt {
                    done: block_on(store.touch(&[(id, used)])),
                    changed: Records::from([(id, record)]),
                    event: None,
                }
            }
        }
    }

    /// Changes a setting of a key that is active or paused.
    fn update(&mut self, mint: &Mint, store: &dyn KeyStore) -> Attempt {
        let statuses = [Status::Active, Status::Disabled];
        let Some(mut record) = self.any(mint, &statuses) else {
            return self.create(mint, store, None);
        };
        let mut settings = Settings::from(&record.key);
        match draw(&mut self.random, 6) {
            0 => {
                let text = format!("renamed {}", "x".repeat(draw(&mut self.random, 150)));
                settings.name = Name::parse(&text).unwrap();
            }
            1 | 2 => settings.enabled = !settings.enabled,
            3 => {
                let narrower = ["", "calls:read", "calls:write"][draw(&mut self.random, 3)];
                settings.permissions = narrower.parse().unwrap();
            }
            4 => {
                let sets = [Some("192.0.2.0/24"), Some("198.51.100.0/24"), None];
                let set = sets[draw(&mut self.random, 3)];
                settings.allowed_ips = set.map(|text| text.parse().unwrap());
            }
            _ => {
                let end = mint.now.saturating_add(Duration::from_secs(3_600));
                settings.expires_at = settings.expires_at.is_none().then_some(end);
                settings.attributes = Some(Attributes::parse(r#"{"plan":"pro"}"#).unwrap());
            }
        }
        let (id, version) = (record.key.id, record.version);
        let event = self.event(mint, EventKind::Updated, &record.key);
        let update = store.update(&self.workspace, &id, version, &settings, Some(&event));
        let done = block_on(update).map(drop);
        record.update(version, settings).unwrap();
        Attempt {
            changed: Records::from([(id, record)]),
            event: Some(event),
            done,
        }
    }

    fn create(&mut self, mint: &Mint, store: &dyn KeyStore, parent: Option<&Key>) -> Attempt {
        let mut record = self.mint(mint);
        record.key.parent = parent.map(|key| key.id);
        if let Some(parent) = parent {
            within(&mut record.key, parent);
        }
        let event = self.event(mint, EventKind::Created, &record.key);
        // As an issuer does before the first key.
        let is_first = self.acknowledged.is_empty();
        let done = block_on(async {
            if is_first {
                store.claim_prefix(&prefix()).await?;
            }
            store.insert(&record, mint.now, Some(&event)).await
        });
        Attempt {
            done,
            changed: Records::from([(record.key.id, record)]),
            event: Some(event),
        }
    }

    fn revoke(&mut self, mint: &Mint, store: &dyn KeyStore, id: KeyId, reach: Reach) -> Attempt {
        let kind = EventKind::Revoked {
            cascade: reach == Reach::Descendants,
            count: None,
        };
        let event = self.event(mint, kind, &self.acknowledged[&id].key.clone());
        let mut changed = Records::new();
        let mut reached = vec![id];
        let mut seen = HashSet::new();
        while let Some(id) = reached.pop() {
            if !seen.insert(id) {
                continue;
            }
            let mut record = self.acknowledged[&id].clone();
            if reach == Reach::Descendants {
                reached.extend(record.key.successor);
                let received = self
                    .acknowledged
                    .values()
                    .filter(|other| [other.key.parent, other.key.rotated_by].contains(&Some(id)));
                reached.extend(received.map(|other| other.key.id));
            }
            if record.key.revoked_at.is_none() {
                record.key.revoked_at = Some(mint.now);
                record.version += 1;
                changed.insert(id, record);
            }
        }
        let done = block_on(store.revoke(&self.workspace, &id, reach, mint.now, Some(&event)));
        let count = changed.len() as u64;
        if let Ok(revoked) = &done {
            assert_eq!(revoked.count, count);
        }
        Attempt {
            changed,
            event: Some(event.with_count(count)),
            done: done.map(drop),
        }
    }

    fn rotate(
        &mut self,
        mint: &Mint,
        store: &dyn KeyStore,
        mut record: Record,
        caller: Option<Record>,
    ) -> Attempt {
        let mut successor = self.mint(mint);
        successor.key.parent = record.key.parent;
        successor.key.predecessor = Some(record.key.id);
        if let Some(Record { key, .. }) = caller {
            successor.key.rotated_by = Some(key.id);
            within(&mut successor.key, &key);
        }
        let retire = match draw(&mut self.random, 2) {
            0 => Retire::Now,
            _ => Retire::At(mint.now.saturating_add(Duration::from_secs(86_400))),
        };
        let id = record.key.id;
        let rotation = Rotation::new(id, record.version, retire, successor.clone());
        let kind = EventKind::Rotated {
            successor: successor.key.id,
        };
        let event = self.event(mint, kind, &record.key);
        let done = block_on(store.rotate(&self.workspace, &rotation, mint.now, Some(&event)));
        record.key.successor = Some(successor.key.id);
        match retire {
            Retire::Now => record.key.revoked_at = Some(mint.now),
            Retire::At(end) => {
                record.key.expires_at = record.key.expires_at.or(Some(end)).min(Some(end));
            }
        }
        record.version += 1;
        let changed = [(id, record), (successor.key.id, successor)];
        Attempt {
            changed: Records::from(changed),
            event: Some(event),
            done,
        }
    }

    /// Makes an event with an id after those of the client's earlier events.
    fn event(&mut self, mint: &Mint, kind: EventKind, key: &Key) -> Event {
        self.events_made += 1;
        let mut id = *EventId::first_at(mint.now).as_bytes();
        let suffix = format!("{:03}{:05}", self.number, self.events_made);
        id[8..].copy_from_slice(suffix.as_bytes());
        let id = EventId::from_bytes(&id).unwrap();
        Event::new(id, kind, key, Actor::Operator)
    }

    /// Mints a record that is not stored yet.
    fn mint(&mut self, mint: &Mint) -> Record {
        let issuer = mint.keys.issuer();
        let minted = block_on(issuer.mint(&self.workspace, Environment::Live));
        let Ok(minted) = minted else {
            panic!("could not mint a token");
        };
        let token = minted.token.expose().to_owned();
        self.tokens.insert(minted.id, token);
        let key = Key::new(
            minted.id,
            self.workspace.clone(),
            Environment::Live,
            Name::parse("a key").unwrap(),
            "calls:read,calls:write".parse().unwrap(),
        );
        Record::new(key, minted.credential)
    }

    fn any_active(&mut self, mint: &Mint) -> Option<Record> {
        self.any(mint, &[Status::Active])
    }

    /// Returns a record with one of these statuses.
    fn any(&mut self, mint: &Mint, statuses: &[Status]) -> Option<Record> {
        let fits = |record: &&Record| statuses.contains(&record.key.status(mint.now));
        let fitting: Vec<_> = self.acknowledged.values().filter(fits).collect();
        // Create a few keys first, so that there are keys to change.
        (fitting.len() > 2).then(|| fitting[draw(&mut self.random, fitting.len())].clone())
    }

    /// Reads the client's keys and events from the store, and adopts what it finds.
    ///
    /// The store must contain every acknowledged write and its event, and all or none of the write
    /// that failed and of its event. Otherwise this returns a description of the difference.
    pub(crate) fn reconcile(&mut self, store: &dyn KeyStore) -> Result<(), String> {
        let done: Records = {
            let mut done = self.acknowledged.clone();
            done.extend(self.unconfirmed.clone());
            done
        };
        let mut found = Records::new();
        for id in done.keys() {
            let record = block_on(store.find(id)).map_err(|error| format!("{error:?}"))?;
            found.extend(record.map(|record| (*id, record)));
        }
        let list = ListEvents::new()
            .with_order(EventOrder::OldestFirst)
            .with_limit(u32::MAX);
        let events = block_on(store.events(&self.workspace, Environment::Live, &list))
            .map_err(|error| format!("{error:?}"))?
            .events;
        let mut done_events = self.events.clone();
        done_events.extend(self.unconfirmed_event.clone());
        let is_undone = same(&found, &self.acknowledged) && events == self.events;
        let is_done = same(&found, &done) && events == done_events;
        if !is_undone && !is_done {
            let events = difference_of_events(&events, &done_events);
            return Err(self.difference(&found, &done) + &events);
        }
        self.acknowledged = found;
        self.events = events;
        self.unconfirmed.clear();
        self.unconfirmed_event = None;
        Ok(())
    }

    fn difference(&self, found: &Records, done: &Records) -> String {
        let mut text = String::from("an acknowledged write was lost, or a write is incomplete:");
        for (id, after) in done {
            let before = self.acknowledged.get(id);
            let found = found.get(id);
            if before != Some(after) || found != before {
                let show = |record: Option<&Record>| record.map(|record| record.key.clone());
                text += &format!(
                    "\n  before {:?}\n  after  {:?}\n  found  {:?}",
                    show(before),
                    show(Some(after)),
                    show(found)
                );
            }
        }
        text
    }
}

fn difference_of_events(found: &[Event], done: &[Event]) -> String {
    let lost = done.iter().filter(|event| !found.contains(event));
    let unknown = found.iter().filter(|event| !done.contains(event));
    let lost = lost.map(|event| format!("\n  lost    {event:?}"));
    let unknown = unknown.map(|event| format!("\n  unknown {event:?}"));
    lost.chain(unknown).collect()
}

/// Whether the records are as expected, apart from a last use that a verification moved forward.
fn same(found: &Records, expected: &Records) -> bool {
    let same_record = |(found, expected): (&Record, &Record)| {
        let mut expected = expected.clone();
        if found.key.last_used_at >= expected.key.last_used_at {
            expected.key.last_used_at = found.key.last_used_at;
        }
        *found == expected
    };
    found.keys().eq(expected.keys()) && found.values().zip(expected.values()).all(same_record)
}

/// The verdicts on tokens, compared with the expected verdicts.
#[derive(Default, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Verdicts {
    /// The token of a usable key was accepted, or the token of another key was denied. A key is
    /// usable if it is active and may be used from this address.
    pub(crate) correct: usize,
    /// The token of a key that is not usable was accepted.
    pub(crate) wrongly_accepted: usize,
    /// The token of a usable key was denied.
    pub(crate) wrongly_denied: usize,
    /// The store could not be read, so there is no verdict.
    pub(crate) undecided: usize,
}

/// The address from which tokens are verified.
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

/// Verifies the tokens of all clients with a new library over the store.
pub(crate) fn verify_all(mint: &Mint, clients: &[Client], store: Arc<dyn KeyStore>) -> Verdicts {
    let mut verdicts = Verdicts::default();
    let tokens = || {
        clients.iter().flat_map(|client| {
            let tokens = client.tokens.iter();
            tokens.map(|(id, token)| (client.acknowledged.get(id), token))
        })
    };
    let Ok(keys) = Mint::open(&mint.entropy, store) else {
        verdicts.undecided = tokens().count();
        return verdicts;
    };
    for (record, token) in tokens() {
        let usable = record.is_some_and(|Record { key, .. }| {
            let allowed_ips = key.allowed_ips.as_ref();
            key.status(mint.now) == Status::Active
                && allowed_ips.is_none_or(|allowed| allowed.contains(ADDRESS))
        });
        let verdict = block_on(keys.verifier().verify_from(token.as_bytes(), ADDRESS));
        *match (verdict, usable) {
            (Ok(_), true) | (Err(VerifyError::Denied(_)), false) => &mut verdicts.correct,
            (Ok(_), false) => &mut verdicts.wrongly_accepted,
            (Err(VerifyError::Denied(_)), true) => &mut verdicts.wrongly_denied,
            (Err(VerifyError::Undecided(_)), _) => &mut verdicts.undecided,
        } += 1;
    }
    verdicts
}

/// Restricts a key to what the key that receives its secret may do.
fn within(key: &mut Key, receiver: &Key) {
    key.expires_at = receiver.expires_at;
    key.permissions = receiver.permissions.clone();
    key.allowed_ips.clone_from(&receiver.allowed_ips);
}
