//! The store of the simulation: one server that does one thing at a time.

#[expect(dead_code, unreachable_pub, reason = "the library's source")]
#[path = "../../src/store/lease.rs"]
mod lease;
#[expect(dead_code, unreachable_pub, reason = "the library's source")]
#[allow(
    unfulfilled_lint_expectations,
    reason = "its types are not public here, so lints of public types do not apply"
)]
#[path = "../../src/store/record.rs"]
mod record;
// The names that `record.rs` imports from its parent.
mod alias {
    pub(crate) use keywright_core::store::Alias;
}
mod error {
    pub(crate) use keywright_core::store::StoreErrorKind;
}

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    time::Duration,
};

use keywright_core::store::Tag;
use tokio::{
    sync::mpsc::UnboundedSender,
    time::{Instant, sleep_until},
};

pub(crate) use keywright_core::store::StoreError;

pub(crate) use self::{
    lease::{Lease, Stamp, Watch},
    record::Record,
};
use crate::{
    Environment, Key, KeyId, Name, Permissions, Workspace,
    hash::{Credential, StoredHash},
    time,
};

/// How long the store works on each kind of request. `SCALING.md` says where they are measured.
pub(crate) struct Costs {
    pub(crate) find: Duration,
    pub(crate) change: Duration,
    /// A poll or a heartbeat.
    pub(crate) poll: Duration,
    /// A change that a poll or a push tells one process.
    pub(crate) told: Duration,
}

/// A poll with more changes makes the copies of all records stale.
const MAX_CHANGES: usize = 1000;

/// What a poll returns.
pub(crate) struct Reply {
    /// The number of changes so far.
    pub(crate) seen: usize,
    /// The changed records, or `None` if these may be any.
    pub(crate) changed: Option<Vec<KeyId>>,
}

/// A message that the store sends on a connection without a request.
pub(crate) struct Pushed {
    pub(crate) sent_at: Instant,
    /// The changed record, or `None` for the reply to a heartbeat.
    pub(crate) changed: Option<KeyId>,
}

impl Pushed {
    pub(crate) fn now(changed: Option<KeyId>) -> Self {
        Self {
            sent_at: Instant::now(),
            changed,
        }
    }
}

pub(crate) struct Database {
    costs: Costs,
    busy_until: Cell<Instant>,
    /// How long the store has worked.
    worked: Cell<Duration>,
    records: RefCell<HashMap<KeyId, Record>>,
    changes: RefCell<Vec<KeyId>>,
    subscribers: RefCell<Vec<UnboundedSender<Pushed>>>,
}

impl Database {
    pub(crate) fn new(costs: Costs) -> Self {
        Self {
            costs,
            busy_until: Cell::new(Instant::now()),
            worked: Cell::default(),
            records: RefCell::default(),
            changes: RefCell::default(),
            subscribers: RefCell::default(),
        }
    }

    /// Returns how long the store has worked.
    pub(crate) fn worked(&self) -> Duration {
        self.worked.get()
    }

    /// Waits until the store has done all that arrived earlier, and for the time that this takes.
    async fn work(&self, cost: Duration) {
        self.spend(cost);
        sleep_until(self.busy_until.get()).await;
    }

    /// Counts the time that work takes.
    fn spend(&self, cost: Duration) {
        let begin = self.busy_until.get().max(Instant::now());
        self.busy_until.set(begin + cost);
        self.worked.set(self.worked.get() + cost);
    }

    pub(crate) async fn find(&self, id: &KeyId) -> Option<Record> {
        self.work(self.costs.find).await;
        self.records.borrow().get(id).cloned()
    }

    pub(crate) fn insert(&self, id: KeyId) {
        let key = Key::new(
            id,
            Workspace::parse("default").unwrap(),
            Environment::Live,
            Name::parse("key").unwrap(),
            Permissions::all(),
        );
        let output = "A".repeat(43);
        let text = format!("$hmac-sha256$AAECAwQFBgcICQoLDA0ODw${output}");
        let hash = StoredHash::parse(&text).unwrap();
        let record = Record::new(
            key,
            Credential::new(hash, Tag::from_bytes([0; Tag::LENGTH])),
        );
        self.records.borrow_mut().insert(id, record);
    }

    /// Revokes a key, and pushes the change to the subscribers.
    pub(crate) async fn revoke(&self, id: &KeyId) {
        self.work(self.costs.change).await;
        let mut records = self.records.borrow_mut();
        records.get_mut(id).unwrap().revoke(time::now());
        self.changes.borrow_mut().push(*id);
        let mut subscribers = self.subscribers.borrow_mut();
        subscribers.retain(|subscriber| {
            self.spend(self.costs.told);
            subscriber.send(Pushed::now(Some(*id))).is_ok()
        });
    }

    /// Returns the changes since a poll, or the number of changes.
    pub(crate) async fn poll(&self, seen: Option<usize>) -> Reply {
        self.work(self.costs.poll).await;
        let changes = self.changes.borrow();
        let new = seen.and_then(|seen| changes.get(seen..));
        let changed = new
            .filter(|new| new.len() <= MAX_CHANGES)
            .map(<[_]>::to_vec);
        let told = changed.as_ref().map_or(0, Vec::len);
        self.spend(self.costs.told * u32::try_from(told).unwrap());
        Reply {
            seen: changes.len(),
            changed,
        }
    }

    pub(crate) async fn heartbeat(&self) {
        self.work(self.costs.poll).await;
    }

    /// Pushes each change from now on.
    pub(crate) fn subscribe(&self, subscriber: UnboundedSender<Pushed>) {
        self.subscribers.borrow_mut().push(subscriber);
    }
}
