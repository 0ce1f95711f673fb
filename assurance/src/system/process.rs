//! One process that has the store open, and how it hears of another one's changes.

use std::{sync::Arc, thread, time::Duration};

use futures_executor::block_on;
use keywright_core::{
    Argon2Params, Caller, Config, KeyId, KeyStore, Keywright, Name, NewKey, Permissions, Rename,
    Scheme,
};

use super::{
    Stage,
    world::{Counter, Hand, name, prefix, workspace},
};

/// Longest that is waited for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// A library over a handle of its own, with a memory of its own.
pub(super) struct Process {
    /// `None` between its end and its next beginning.
    open: Option<Open>,
    /// Whether the other process has made changes that this one may not have heard of yet.
    pub(super) behind: bool,
}

struct Open {
    keys: Keywright,
    store: Arc<dyn KeyStore>,
}

impl Process {
    pub(super) fn start(stage: &impl Stage, clock: &Hand, entropy: &Counter) -> Self {
        Self {
            open: Some(Open::new(stage, clock, entropy, false)),
            behind: false,
        }
    }

    pub(super) fn end(&mut self) {
        self.open = None;
    }

    pub(super) fn begin(
        &mut self,
        stage: &impl Stage,
        clock: &Hand,
        entropy: &Counter,
        argon2: bool,
    ) {
        self.open = Some(Open::new(stage, clock, entropy, argon2));
    }

    fn open(&self) -> &Open {
        self.open.as_ref().expect("a process that has not ended")
    }

    pub(super) fn keys(&self) -> &Keywright {
        &self.open().keys
    }
}

impl Open {
    fn new(stage: &impl Stage, clock: &Hand, entropy: &Counter, argon2: bool) -> Self {
        let mut config = Config::new(prefix())
            .with_clock(clock.clone())
            .with_entropy(entropy.clone());
        config = if argon2 {
            // The least that Argon2 takes, and that others must make room.
            let least = Argon2Params::new(8, 1, 1).expect("parameters");
            config.with_scheme(Scheme::Argon2id(least)).with_cache(2)
        } else {
            config.with_scheme(Scheme::HmacSha256)
        };
        let store = stage.open();
        let keys = block_on(Keywright::open(config, Arc::clone(&store))).expect("a library");
        Self { keys, store }
    }
}

/// The first key of the store. It belongs to no sequence, and its name counts the times that a process
/// had to hear of changes.
pub(super) struct First {
    id: KeyId,
    pub(super) token: String,
    count: u64,
    caller: Caller,
}

impl First {
    pub(super) fn make(process: &Process) -> Self {
        let workspace = workspace("beside");
        let caller = Caller::new(workspace.clone(), Permissions::all());
        let first = process
            .keys()
            .issuer()
            .create_first(workspace, NewKey::new(name("0")));
        let first = block_on(first).expect("a store").expect("an empty store");
        assert_eq!(first.key.permissions, Permissions::all());
        Self {
            id: first.key.id,
            token: first.token.expose().to_owned(),
            count: 0,
            caller,
        }
    }

    /// Waits until a process knows of all that the other one has changed. Changes are told in the order
    /// in which they were made, so the other one makes a last one.
    ///
    /// # Panics
    ///
    /// If what was before is still acted on once the store's bound has passed.
    pub(super) fn pass(&mut self, from: &Process, to: &Process, bound: Duration) {
        self.count += 1;
        let next = name(&self.count.to_string());
        let lease = to.open().store.lease();
        // Kept by the one that must hear, lest it read the new name before it hears.
        let _ = self.name_known_to(to);
        let before = lease.stamp(&self.id);
        let rename = Rename::new(Some(next.clone()), None);
        let renamed = from.keys().issuer().rename(&self.caller, &self.id, &rename);
        block_on(renamed).expect("a store that works");
        let acknowledged = lease.now();
        loop {
            let began = lease.now().saturating_duration_since(acknowledged);
            let known = self.name_known_to(to) == next;
            assert!(
                known || began <= bound,
                "a change was not seen {began:?} after it was acknowledged"
            );
            // Without a lease the store is asked, and then the name is known before it is told.
            if known && lease.stamp(&self.id) != before {
                return;
            }
            assert!(began < PATIENCE, "a change is never told");
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn name_known_to(&self, process: &Process) -> Name {
        let verified = block_on(process.keys().verifier().verify(self.token.as_bytes()));
        verified.expect("an active key").key().name.clone()
    }
}
