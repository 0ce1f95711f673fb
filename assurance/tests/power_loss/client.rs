//! A client of a store, who knows what it was promised.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_executor::block_on;
use keywright_core::{
    Config, Environment, Key, KeyId, KeyStore, Keywright, MemoryStore, Name, Prefix, Reach, Record,
    Rename, Retire, Rotation, Scheme, Status, StoreError, Timestamp, VerifyError, Workspace,
};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use crate::chance::draw;

/// Records by their ids.
type Records = BTreeMap<KeyId, Record>;

/// What all clients have in common: how tokens are made, and the time.
pub(crate) struct Mint {
    keys: Keywright,
    pub(crate) now: Timestamp,
}

impl Mint {
    pub(crate) fn new() -> Self {
        let keys = block_on(Keywright::open(config(), Arc::new(MemoryStore::new()))).unwrap();
        let now = keys.issuer().now();
        Self { keys, now }
    }
}

fn config() -> Config {
    Config::new(Prefix::parse("sk").unwrap()).with_scheme(Scheme::HmacSha256)
}

/// A client. Nobody else changes its keys, so that it knows what each must be.
pub(crate) struct Client {
    random: ChaCha8Rng,
    workspace: Workspace,
    tokens: BTreeMap<KeyId, String>,
    /// What was acknowledged.
    acknowledged: Records,
    /// What the write that was not acknowledged would have changed: all of it or nothing.
    doubtful: Records,
    /// How many writes were acknowledged.
    pub(crate) writes: u64,
}

impl Client {
    pub(crate) fn new(seed: u64, number: usize) -> Self {
        Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            workspace: Workspace::parse(&format!("client-{number}")).unwrap(),
            tokens: BTreeMap::new(),
            acknowledged: Records::new(),
            doubtful: Records::new(),
            writes: 0,
        }
    }

    /// The keys that it was told it has.
    pub(crate) fn ids(&self) -> Vec<KeyId> {
        self.acknowledged.keys().copied().collect()
    }

    /// How many keys it has.
    pub(crate) fn keys(&self) -> usize {
        self.acknowledged.len()
    }

    /// Does one write, any of those that there are. After one that failed it does no more before it
    /// [settles](Self::settle).
    pub(crate) fn write(&mut self, mint: &Mint, store: &dyn KeyStore) -> Result<(), StoreError> {
        assert!(self.doubtful.is_empty(), "the last write is not settled");
        let (changed, done) = self.try_write(mint, store);
        match done {
            Ok(()) => {
                self.acknowledged.extend(changed);
                self.writes += 1;
                Ok(())
            }
            Err(error) => {
                self.doubtful = changed;
                Err(error)
            }
        }
    }

    fn try_write(
        &mut self,
        mint: &Mint,
        store: &dyn KeyStore,
    ) -> (Records, Result<(), StoreError>) {
        let Some(mut record) = self.any_active(mint) else {
            return self.create(mint, store, None);
        };
        let id = record.key.id;
        let workspace = self.workspace.clone();
        match draw(&mut self.random, 100) {
            0..30 => self.create(mint, store, None),
            30..50 => self.create(mint, store, Some(&record.key)),
            50..65 => {
                let text = format!("renamed {}", "x".repeat(draw(&mut self.random, 150)));
                let rename = Rename::new(Some(Name::parse(&text).unwrap()), None);
                let done = store.rename(&workspace, &id, record.version, &rename);
                let done = block_on(done).map(|_| ());
                record.key.name = Name::parse(&text).unwrap();
                record.version += 1;
                (Records::from([(id, record)]), done)
            }
            65..75 => self.revoke(mint, store, id, Reach::Key),
            75..80 => self.revoke(mint, store, id, Reach::Descendants),
            80..95 if record.key.successor.is_none() => self.rotate(mint, store, record),
            _ => {
                let used = Timestamp::from_millis(mint.now.as_millis() + 1).unwrap();
                record.key.last_used_at = Some(used);
                let done = block_on(store.touch(&[(id, used)]));
                (Records::from([(id, record)]), done)
            }
        }
    }

    fn create(
        &mut self,
        mint: &Mint,
        store: &dyn KeyStore,
        parent: Option<&Key>,
    ) -> (Records, Result<(), StoreError>) {
        let mut record = self.mint(mint);
        record.key.parent = parent.map(|key| key.id);
        record.key.expires_at = parent.and_then(|key| key.expires_at);
        let done = block_on(store.insert(&record, mint.now));
        (Records::from([(record.key.id, record)]), done)
    }

    fn revoke(
        &self,
        mint: &Mint,
        store: &dyn KeyStore,
        id: KeyId,
        reach: Reach,
    ) -> (Records, Result<(), StoreError>) {
        let mut changed = Records::new();
        let mut reached = vec![id];
        while let Some(id) = reached.pop() {
            let mut record = self.acknowledged[&id].clone();
            if reach == Reach::Descendants {
                reached.extend(record.key.successor);
                let children = self.acknowledged.values();
                let children = children.filter(|child| child.key.parent == Some(id));
                reached.extend(children.map(|child| child.key.id));
            }
            if record.key.revoked_at.is_none() {
                record.key.revoked_at = Some(mint.now);
                record.version += 1;
                changed.insert(id, record);
            }
        }
        let done = block_on(store.revoke(&self.workspace, &id, reach, mint.now));
        if let Ok(revoked) = &done {
            assert_eq!(usize::try_from(revoked.count).unwrap(), changed.len());
        }
        (changed, done.map(|_| ()))
    }

    fn rotate(
        &mut self,
        mint: &Mint,
        store: &dyn KeyStore,
        mut record: Record,
    ) -> (Records, Result<(), StoreError>) {
        let mut successor = self.mint(mint);
        successor.key.parent = record.key.parent;
        let retire = match draw(&mut self.random, 2) {
            0 => Retire::Now,
            _ => Retire::At(mint.now.saturating_add(Duration::from_secs(86_400))),
        };
        let id = record.key.id;
        let rotation = Rotation::new(id, record.version, retire, successor.clone());
        let done = block_on(store.rotate(&self.workspace, &rotation, mint.now));
        record.key.successor = Some(successor.key.id);
        match retire {
            Retire::Now => record.key.revoked_at = Some(mint.now),
            Retire::At(end) => record.key.expires_at = Some(end),
        }
        record.version += 1;
        let changed = [(id, record), (successor.key.id, successor)];
        (Records::from(changed), done)
    }

    /// A record that no store has yet.
    fn mint(&mut self, mint: &Mint) -> Record {
        let issuer = mint.keys.issuer();
        let minted = block_on(issuer.mint(&self.workspace, Environment::Live));
        let Ok(minted) = minted else {
            panic!("no token could be minted");
        };
        let token = minted.token.expose().to_owned();
        self.tokens.insert(minted.id, token);
        let key = Key::new(
            minted.id,
            self.workspace.clone(),
            Environment::Live,
            Name::parse("a key").unwrap(),
            "calls:read".parse().unwrap(),
        );
        Record::new(key, minted.credential)
    }

    fn any_active(&mut self, mint: &Mint) -> Option<Record> {
        let active = |record: &&Record| record.key.status(mint.now) == Status::Active;
        let active: Vec<_> = self.acknowledged.values().filter(active).collect();
        // The first few writes are creations, so that there are keys to write to.
        (active.len() > 2).then(|| active[draw(&mut self.random, active.len())].clone())
    }

    /// Looks what the store has, which must be what was acknowledged, with all or nothing of the last
    /// write that was not; from then on that is what this client goes by.
    pub(crate) fn settle(&mut self, store: &dyn KeyStore) -> Result<(), String> {
        let done: Records = {
            let mut done = self.acknowledged.clone();
            done.extend(self.doubtful.clone());
            done
        };
        let mut found = Records::new();
        for id in done.keys() {
            let record = block_on(store.find(id)).map_err(|error| format!("{error:?}"))?;
            found.extend(record.map(|record| (*id, record)));
        }
        if !same(&found, &self.acknowledged) && !same(&found, &done) {
            return Err(self.difference(&found, &done));
        }
        self.acknowledged = found;
        self.doubtful.clear();
        Ok(())
    }

    fn difference(&self, found: &Records, done: &Records) -> String {
        let mut text = String::from("what was acknowledged was lost or half done:");
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

/// Whether records are what they must be. A verification may have moved a last use forward.
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

/// How many tokens were answered how.
#[derive(Default, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Verdicts {
    /// Accepted if the key is active, and refused if it is not.
    pub(crate) right: usize,
    /// Accepted, and the key is not active.
    pub(crate) let_in: usize,
    /// Refused, and the key is active.
    pub(crate) locked_out: usize,
    /// Not decided.
    pub(crate) undecided: usize,
}

/// Verifies the tokens of all clients over a store.
pub(crate) fn verify_all(mint: &Mint, clients: &[Client], store: Arc<dyn KeyStore>) -> Verdicts {
    let mut verdicts = Verdicts::default();
    let tokens = || {
        clients.iter().flat_map(|client| {
            let tokens = client.tokens.iter();
            tokens.map(|(id, token)| (client.acknowledged.get(id), token))
        })
    };
    let Ok(keys) = block_on(Keywright::open(config(), store)) else {
        verdicts.undecided = tokens().count();
        return verdicts;
    };
    for (record, token) in tokens() {
        let active = record.is_some_and(|record| record.key.status(mint.now) == Status::Active);
        let verdict = block_on(keys.verifier().verify(token.as_bytes()));
        *match (verdict, active) {
            (Ok(_), true) | (Err(VerifyError::Denied(_)), false) => &mut verdicts.right,
            (Ok(_), false) => &mut verdicts.let_in,
            (Err(VerifyError::Denied(_)), true) => &mut verdicts.locked_out,
            (Err(VerifyError::Undecided(_)), _) => &mut verdicts.undecided,
        } += 1;
    }
    verdicts
}
