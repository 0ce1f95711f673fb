//! The store of the simulation: one server, whose cores share all work.

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
    costs::Costs,
    hash::{Credential, StoredHash},
    parameters::Feed,
    time,
};

/// A poll with more changes makes the copies of all records stale.
const MAX_CHANGES: usize = 1000;

/// The reply to a poll.
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

pub(crate) struct Database {
    costs: Costs,
    /// How long the store works on a poll or heartbeat.
    request: Duration,
    cores: u32,
    /// When the store has done all that has arrived.
    busy_until: Cell<Instant>,
    reads: Cell<u32>,
    /// How long the store has worked.
    worked: Cell<Duration>,
    records: RefCell<HashMap<KeyId, Record>>,
    changes: RefCell<Vec<KeyId>>,
    subscribers: RefCell<Vec<UnboundedSender<Pushed>>>,
}

impl Database {
    pub(crate) fn new(costs: Costs, feed: Feed) -> Self {
        Self {
            request: costs.request(feed),
            cores: feed.cores(),
            costs,
            busy_until: Cell::new(Instant::now()),
            reads: Cell::default(),
            worked: Cell::default(),
            records: RefCell::default(),
            changes: RefCell::default(),
            subscribers: RefCell::default(),
        }
    }

    /// Returns how many records the store has read.
    pub(crate) fn reads(&self) -> u32 {
        self.reads.get()
    }

    /// Returns how long the store has worked.
    pub(crate) fn worked(&self) -> Duration {
        self.worked.get()
    }

    /// Waits until the store has done all that arrived earlier, and for the time that this takes.
    async fn work(&self, cost: Duration) {
        self.spend(cost);
        sleep_until(self.busy_until.get().max(Instant::now() + cost)).await;
    }

    /// Counts the time that work takes. The cores share all work.
    fn spend(&self, cost: Duration) {
        let begin = self.busy_until.get().max(Instant::now());
        self.busy_until.set(begin + cost / self.cores);
        self.worked.set(self.worked.get() + cost);
    }

    pub(crate) async fn find(&self, id: &KeyId) -> Option<Record> {
        self.reads.set(self.reads.get() + 1);
        self.work(self.costs.read).await;
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
        self.work(self.costs.revoke).await;
        let mut records = self.records.borrow_mut();
        records.get_mut(id).unwrap().revoke(time::now());
        self.changes.borrow_mut().push(*id);
        let mut subscribers = self.subscribers.borrow_mut();
        subscribers.retain(|subscriber| {
            self.spend(self.costs.report);
            let pushed = Pushed {
                sent_at: self.busy_until.get(),
                changed: Some(*id),
            };
            subscriber.send(pushed).is_ok()
        });
    }

    /// Returns the changes since a poll, or the number of changes.
    pub(crate) async fn poll(&self, seen: Option<usize>) -> Reply {
        self.work(self.request).await;
        let changes = self.changes.borrow();
        let new = seen.and_then(|seen| changes.get(seen..));
        let changed = new
            .filter(|new| new.len() <= MAX_CHANGES)
            .map(<[_]>::to_vec);
        let reported = changed.as_ref().map_or(0, Vec::len);
        self.spend(self.costs.report * u32::try_from(reported).unwrap());
        Reply {
            seen: changes.len(),
            changed,
        }
    }

    /// Replies to a heartbeat, after all changes that were pushed before it.
    pub(crate) async fn heartbeat(&self, subscriber: &UnboundedSender<Pushed>) {
        self.work(self.request).await;
        // A process that no longer listens needs no reply.
        let _ = subscriber.send(Pushed {
            sent_at: Instant::now(),
            changed: None,
        });
    }

    /// Pushes each change from now on.
    pub(crate) fn subscribe(&self, subscriber: UnboundedSender<Pushed>) {
        self.subscribers.borrow_mut().push(subscriber);
    }
}
