//! The scripts decide as the rules of `keywright_core` that they repeat in Lua.

use futures_executor::block_on;
use keywright_core::{
    Reach, Timestamp, Workspace,
    store::{KeyStore, Record, StoreErrorKind},
};
use keywright_store_redis::RedisStore;

use crate::{insert, sample, support::Server};

/// Times around the time at which a rule is applied.
fn times() -> [Timestamp; 7] {
    let now = sample::now().as_millis();
    [0, now - 1, now, now + 1, now + 1000, now + 1001]
        .map(|millis| Timestamp::from_millis(millis).unwrap())
        .into_iter()
        .chain([Timestamp::MAX])
        .collect::<Vec<_>>()
        .try_into()
        .unwrap()
}

fn ends() -> impl Iterator<Item = Option<Timestamp>> + Clone {
    times().into_iter().map(Some).chain([None])
}

#[track_caller]
fn find(store: &RedisStore, record: &Record) -> Record {
    block_on(store.find(&record.key.id)).unwrap().unwrap()
}

#[test]
fn a_parent_admits_a_child_exactly_when_core_says_so() {
    let server = Server::start();
    let store = server.store();
    let other = Workspace::parse("other").unwrap();
    let mut outcomes = [0; 2];
    for expires_at in ends() {
        for revoked_at in [None, Some(sample::now())] {
            let mut parent = sample::record();
            parent.key.expires_at = expires_at;
            parent.key.revoked_at = revoked_at;
            let parent = insert(&store, parent);
            for child_end in ends() {
                for workspace in [&parent.key.workspace, &other] {
                    let mut child = sample::child_of(&parent);
                    child.key.expires_at = child_end;
                    child.key.workspace = workspace.clone();
                    let admitted = parent.key.admits(&child.key, sample::now());
                    outcomes[usize::from(admitted)] += 1;
                    let result = block_on(store.insert(&child, sample::now()));
                    let expected = if admitted {
                        Ok(())
                    } else {
                        Err(StoreErrorKind::Conflict)
                    };
                    let result = result.map_err(|error| error.kind());
                    assert_eq!(result, expected, "{parent:?} {child:?}");
                }
            }
        }
    }
    assert!(outcomes.iter().all(|count| *count > 10), "{outcomes:?}");
}

#[test]
fn a_revocation_changes_a_record_as_core_does() {
    let server = Server::start();
    let store = server.store();
    for version in [1, 255, 256, 0xffff_ffff, 1 << 53, u64::MAX - 1, u64::MAX] {
        for revoked_at in ends() {
            let mut record = sample::record();
            record.version = version;
            record.key.revoked_at = revoked_at;
            record.key.expires_at = Some(Timestamp::MAX);
            let mut revoked = insert(&store, record.clone());
            let changed = revoked.revoke(sample::now());
            let reach = Reach::Key;
            let result = store.revoke(&record.key.workspace, &record.key.id, reach, sample::now());
            assert_eq!(block_on(result).unwrap().first, changed, "{record:?}");
            assert_eq!(find(&store, &record), revoked);
        }
    }
}

#[test]
fn a_cascade_changes_a_descendant_as_core_does() {
    let server = Server::start();
    let store = server.store();
    for version in [1, 255, u64::MAX] {
        for revoked_at in [None, Some(Timestamp::MAX)] {
            let parent = insert(&store, sample::record());
            let mut child = sample::child_of(&parent);
            child.version = version;
            child.key.revoked_at = revoked_at;
            let mut revoked = insert(&store, child.clone());
            let changed = revoked.revoke(sample::now());
            let count = crate::revoke_all(&store, &parent);
            assert_eq!(count, 1 + u64::from(changed), "{child:?}");
            assert_eq!(find(&store, &child), revoked);
        }
    }
}

#[test]
fn a_touch_moves_the_time_of_last_use_as_core_does() {
    let server = Server::start();
    let store = server.store();
    for first in times() {
        for second in times() {
            let mut record = insert(&store, sample::record());
            for time in [first, second] {
                block_on(store.touch(&[(record.key.id, time)])).unwrap();
                record.touch(time);
                assert_eq!(find(&store, &record), record);
            }
        }
    }
}
