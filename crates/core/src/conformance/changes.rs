//! Clause 13: a store invalidates the copies that verifiers hold of the records it changes.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use super::{
    fixture::{at, child_of, credential, name, now, record, successor_of},
    handle::{Handle, race},
    harness::Harness,
};
use crate::{
    Attributes, Key, KeyId, Metadata, Reach, Status,
    store::{Record, Retire, Stamp},
};

/// The longest time within which a handle must invalidate records that another handle changed. The
/// bound that a store documents is shorter. The store's own tests check that bound.
const PATIENCE: Duration = Duration::from_secs(10);

type Update = fn(&mut Key);

/// Updates of one setting each, after which no verifier may use an older copy.
const UPDATES: [(&str, Update); 8] = [
    ("a rename", |key| key.name = name("new")),
    ("narrowed permissions", |key| {
        key.permissions = "calls:read".parse().unwrap();
    }),
    ("a pause", |key| key.enabled = false),
    ("a resumption", |key| key.enabled = true),
    ("an earlier expiry", |key| key.expires_at = Some(at(1_000))),
    ("other addresses", |key| {
        key.allowed_ips = Some("192.0.2.1".parse().unwrap());
    }),
    ("other metadata", |key| {
        key.metadata = Some(Metadata::parse("{}").unwrap());
    }),
    ("other attributes", |key| {
        key.attributes = Some(Attributes::parse("{}").unwrap());
    }),
];

/// Tests clause 13, changes.
pub fn changes(harness: &impl Harness) {
    let handles = Handle::open_three(harness);
    let [store, other, _] = &handles;
    assert!(
        std::ptr::eq(&*store.store().lease(), &*store.store().lease()),
        "returned two different leases from one handle"
    );
    touch_invalidates_nothing(store);
    own_changes_are_invalidated_before_they_are_acknowledged(store);
    changes_by_other_handles_are_invalidated_in_time(store, other);
    changes_are_invalidated_after_the_commit(&handles, "revocation", |store, key| {
        store.revoke_key(key);
    });
    changes_are_invalidated_after_the_commit(&handles, "pause", |store, key| {
        store.change(key, |key| key.enabled = false);
    });
}

impl<H: Harness> Handle<'_, H> {
    fn stamp(&self, id: &KeyId) -> Stamp {
        self.store().lease().stamp(id)
    }

    fn is_fresh(&self, id: &KeyId, stamp: Stamp) -> bool {
        self.store().lease().holds(id, stamp)
    }

    /// Polls `condition` until it holds or time is up, and returns whether it holds.
    fn wait_until(&self, condition: impl Fn() -> bool) -> bool {
        let lease = self.store().lease();
        let end = lease.now() + PATIENCE;
        while lease.now() < end {
            if condition() {
                return true;
            }
            thread::sleep(Duration::from_millis(1));
        }
        condition()
    }
}

fn touch_invalidates_nothing<H: Harness>(store: &Handle<'_, H>) {
    let key = store.add(record("used")).key.id;
    // The store may still invalidate records because of an earlier change, so retry.
    let unchanged = (0..20).any(|round| {
        let before = store.stamp(&key);
        for moment in 0..20 {
            store.touch(&[(key, at(round * 20 + moment))]);
        }
        thread::sleep(Duration::from_millis(20));
        store.stamp(&key) == before
    });
    assert!(unchanged, "a touch invalidated the record");
}

fn own_changes_are_invalidated_before_they_are_acknowledged<H: Harness>(store: &Handle<'_, H>) {
    let check = |key: &Record, operation: &str, change: &dyn Fn(&Record)| {
        let before = store.stamp(&key.key.id);
        let current = store.read(&key.key.id);
        change(&current);
        assert!(
            !store.is_fresh(&key.key.id, before),
            "acknowledged {operation} before it invalidated the record"
        );
    };
    for _ in 0..5 {
        let key = store.add(record("changed"));
        for (update, change) in UPDATES {
            check(&key, update, &|current| {
                store.change(current, change);
            });
        }
        check(&key, "a rehash", &|current| {
            let result = store.rehash(current, &credential(7));
            assert!(result.is_ok(), "{result:?}");
        });
        check(&key, "a rotation with an overlap", &|current| {
            let result = store.rotate(current, Retire::At(at(1)), &successor_of(current), now());
            assert!(result.is_ok(), "{result:?}");
        });
        check(&key, "a revocation", &|current| store.revoke_key(current));
        let key = store.add(record("rotated"));
        check(&key, "a rotation", &|current| {
            let result = store.rotate(current, Retire::Now, &successor_of(current), now());
            assert!(result.is_ok(), "{result:?}");
        });
        let top = store.add(record("top"));
        let child = store.add(child_of(&top));
        let grandchild = store.add(child_of(&child));
        check(&grandchild, "a cascade", &|_| {
            let result = store.revoke(&top, Reach::Descendants, now());
            assert!(result.is_ok(), "{result:?}");
        });
    }
}

fn changes_by_other_handles_are_invalidated_in_time<H: Harness>(
    store: &Handle<'_, H>,
    other: &Handle<'_, H>,
) {
    for _ in 0..20 {
        let key = store.add(record("changed elsewhere"));
        let changes: [&dyn Fn(); 2] = [
            &|| drop(store.change(&key, |key| key.enabled = false)),
            &|| store.revoke_key(&key),
        ];
        for change in changes {
            let before = other.stamp(&key.key.id);
            other.read(&key.key.id);
            change();
            assert!(
                other.wait_until(|| !other.is_fresh(&key.key.id, before)),
                "a handle kept a copy valid after another handle had changed the record"
            );
        }
    }
}

fn changes_are_invalidated_after_the_commit<H: Harness>(
    handles: &[Handle<'_, H>],
    change: &str,
    make: impl Fn(&Handle<'_, H>, &Record) + Sync,
) {
    let [store, ..] = handles else { unreachable!() };
    for _ in 0..20 {
        let key = store.add(record("read while it is changed"));
        let id = key.key.id;
        let acknowledged = AtomicBool::new(false);
        // The first thread revokes through the first handle, and the fourth reads through it.
        let stamps = race(handles, 4, |thread, handle| {
            let mut active_stamps = Vec::new();
            if thread == 0 {
                thread::sleep(Duration::from_millis(2));
                make(store, &key);
                acknowledged.store(true, Ordering::SeqCst);
                return active_stamps;
            }
            while !acknowledged.load(Ordering::SeqCst) {
                let before = handle.stamp(&id);
                if handle.read(&id).key.status(now()) == Status::Active {
                    active_stamps.push(before);
                }
            }
            active_stamps
        });
        for (thread, (stamps, handle)) in stamps.iter().zip(handles.iter().cycle()).enumerate() {
            let all_stale = || stamps.iter().all(|stamp| !handle.is_fresh(&id, *stamp));
            let same_handle = thread % handles.len() == 0;
            assert!(
                if same_handle {
                    all_stale()
                } else {
                    handle.wait_until(all_stale)
                },
                "kept a copy valid that was read before the {change}"
            );
        }
    }
}
