//! Clause 13: what verifiers are told of changes.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use super::{
    Harness,
    fixture::{at, child_of, credential, name, now, record, successor_of},
    handle::{Handle, race},
};
use crate::{KeyId, Reach, Record, Rename, Retire, Stamp, Status};

/// Longest that a store may take to tell of what others have changed. Its own bound is shorter, and
/// is for its own tests.
const PATIENCE: Duration = Duration::from_secs(10);

/// Clause 13, changes.
pub fn changes(harness: &impl Harness) {
    let handles = Handle::open_three(harness);
    let [store, other, _] = &handles;
    assert!(
        std::ptr::eq(&*store.store().lease(), &*store.store().lease()),
        "a handle has one lease for as long as it lives"
    );
    touch_is_none(store);
    own_ones_at_once(store);
    others_within_a_bound(store, other);
    after_the_commit(&handles);
}

impl<H: Harness> Handle<'_, H> {
    fn stamp(&self, id: &KeyId) -> Stamp {
        self.store().lease().stamp(id)
    }

    fn holds(&self, id: &KeyId, stamp: Stamp) -> bool {
        self.store().lease().holds(id, stamp)
    }

    /// Waits until something is so, and tells whether it has become so.
    fn comes_to(&self, condition: impl Fn() -> bool) -> bool {
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

fn touch_is_none<H: Harness>(store: &Handle<'_, H>) {
    let key = store.add(record("used")).key.id;
    // The store may still be telling of something else.
    let untold = (0..20).any(|round| {
        let before = store.stamp(&key);
        for moment in 0..20 {
            store.touch(&[(key, at(round * 20 + moment))]);
        }
        thread::sleep(Duration::from_millis(20));
        store.stamp(&key) == before
    });
    assert!(untold, "a touch is told as a change");
}

fn own_ones_at_once<H: Harness>(store: &Handle<'_, H>) {
    let told = |key: &Record, what: &str, change: &dyn Fn(&Record)| {
        let before = store.stamp(&key.key.id);
        let read = store.read(&key.key.id);
        change(&read);
        assert!(
            !store.holds(&key.key.id, before),
            "{what} was acknowledged before it was told"
        );
    };
    for _ in 0..5 {
        let key = store.add(record("changed"));
        told(&key, "a rename", &|read| {
            let answer = store.rename(read, &Rename::new(Some(name("new")), None));
            assert!(answer.is_ok(), "{answer:?}");
        });
        told(&key, "a rehash", &|read| {
            let answer = store.rehash(read, &credential(7));
            assert!(answer.is_ok(), "{answer:?}");
        });
        told(&key, "a rotation with an overlap", &|read| {
            let answer = store.rotate(read, Retire::At(at(1)), &successor_of(read), now());
            assert!(answer.is_ok(), "{answer:?}");
        });
        told(&key, "a revocation", &|read| store.withdraw(read));
        let key = store.add(record("rotated"));
        told(&key, "a rotation", &|read| {
            let answer = store.rotate(read, Retire::Now, &successor_of(read), now());
            assert!(answer.is_ok(), "{answer:?}");
        });
        let top = store.add(record("top"));
        let child = store.add(child_of(&top));
        let grandchild = store.add(child_of(&child));
        told(&grandchild, "a cascade", &|_| {
            let answer = store.revoke(&top, Reach::Descendants, now());
            assert!(answer.is_ok(), "{answer:?}");
        });
    }
}

fn others_within_a_bound<H: Harness>(store: &Handle<'_, H>, other: &Handle<'_, H>) {
    for _ in 0..20 {
        let key = store.add(record("changed elsewhere"));
        let before = other.stamp(&key.key.id);
        other.read(&key.key.id);
        store.withdraw(&key);
        assert!(
            other.comes_to(|| !other.holds(&key.key.id, before)),
            "a handle vouches for a copy that another one has made old"
        );
    }
}

fn after_the_commit<H: Harness>(handles: &[Handle<'_, H>]) {
    let [store, ..] = handles else { unreachable!() };
    for _ in 0..20 {
        let key = store.add(record("read while it is revoked"));
        let id = key.key.id;
        let acknowledged = AtomicBool::new(false);
        // The first thread revokes over the first handle; one that reads is on the same.
        let copies = race(handles, 4, |thread, handle| {
            let mut copies = Vec::new();
            if thread == 0 {
                thread::sleep(Duration::from_millis(2));
                store.withdraw(&key);
                acknowledged.store(true, Ordering::SeqCst);
                return copies;
            }
            while !acknowledged.load(Ordering::SeqCst) {
                let before = handle.stamp(&id);
                if handle.read(&id).key.status(now()) == Status::Active {
                    copies.push(before);
                }
            }
            copies
        });
        for (thread, (copies, handle)) in copies.iter().zip(handles.iter().cycle()).enumerate() {
            let old = || copies.iter().all(|stamp| !handle.holds(&id, *stamp));
            let same_handle = thread % handles.len() == 0;
            assert!(
                if same_handle {
                    old()
                } else {
                    handle.comes_to(old)
                },
                "a copy from before a change was taken for one from after it"
            );
        }
    }
}
