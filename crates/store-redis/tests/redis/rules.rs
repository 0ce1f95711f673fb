//! The scripts decide as the rules of `keywright_core` that they repeat in Lua.

use futures_executor::block_on;
use keywright_core::{
    Key, Reach, Timestamp, VersionedKey, Workspace,
    store::{
        Credential, KeyStore, Purge, Record, Retire, Rotation, Settings, StoreError,
        StoreErrorKind, Tag,
    },
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

/// Versions whose increment carries, and the last ones.
const VERSIONS: [u64; 7] = [1, 255, 256, 0xffff_ffff, 1 << 53, u64::MAX - 1, u64::MAX];

/// Calls a function with a key in each state in which it may admit another one or not.
fn for_each_state(mut check: impl FnMut(Record)) {
    for expires_at in ends() {
        for revoked_at in [None, Some(sample::now())] {
            for enabled in [true, false] {
                let mut record = sample::record();
                record.key.expires_at = expires_at;
                record.key.revoked_at = revoked_at;
                record.key.enabled = enabled;
                check(record);
            }
        }
    }
}

/// The number of cases with each outcome.
#[derive(Default)]
struct Outcomes {
    done: u32,
    rejected: u32,
}

impl Outcomes {
    /// Asserts that the store has decided as core has.
    #[track_caller]
    fn compare<T: PartialEq + std::fmt::Debug>(
        &mut self,
        result: Result<T, StoreError>,
        expected: Result<T, StoreErrorKind>,
        case: impl std::fmt::Debug,
    ) {
        match &expected {
            Ok(_) => self.done += 1,
            Err(_) => self.rejected += 1,
        }
        assert_eq!(result.map_err(|error| error.kind()), expected, "{case:?}");
    }

    /// Asserts that the cases had both outcomes.
    #[track_caller]
    fn assert_both(&self) {
        let Self { done, rejected } = self;
        assert!(*done > 5 && *rejected > 5, "{done} and {rejected}");
    }
}

fn conflict_unless(allowed: bool) -> Result<(), StoreErrorKind> {
    if allowed {
        Ok(())
    } else {
        Err(StoreErrorKind::Conflict)
    }
}

#[test]
fn a_parent_admits_a_child_exactly_when_core_says_so() {
    let server = Server::start();
    let store = server.store();
    let other = Workspace::parse("other").unwrap();
    let mut outcomes = Outcomes::default();
    for_each_state(|parent| {
        let parent = insert(&store, parent);
        for child_end in ends() {
            for workspace in [&parent.key.workspace, &other] {
                let mut child = sample::child_of(&parent);
                child.key.expires_at = child_end;
                child.key.workspace = workspace.clone();
                let expected = conflict_unless(parent.key.admits(&child.key, sample::now()));
                let result = block_on(store.insert(&child, sample::now(), None));
                outcomes.compare(result, expected, (&parent, child));
            }
        }
    });
    outcomes.assert_both();
}

#[test]
fn a_caller_admits_a_successor_exactly_when_core_says_so() {
    let server = Server::start();
    let store = server.store();
    let workspace = sample::workspace();
    let mut outcomes = Outcomes::default();
    for_each_state(|caller| {
        let caller = insert(&store, caller);
        for end in ends() {
            let predecessor = insert(&store, sample::record());
            let mut successor = sample::successor_of(&predecessor);
            successor.key.expires_at = end;
            successor.key.rotated_by = Some(caller.key.id);
            let expected = conflict_unless(caller.key.admits(&successor.key, sample::now()));
            let retire = Retire::At(Timestamp::MAX);
            let rotation = Rotation::new(predecessor.key.id, 1, retire, successor);
            let result = store.rotate(&workspace, &rotation, sample::now(), None);
            outcomes.compare(block_on(result), expected, (&caller, rotation));
        }
    });
    outcomes.assert_both();
}

#[test]
fn a_rotation_retires_a_record_as_core_does() {
    let server = Server::start();
    let store = server.store();
    let workspace = sample::workspace();
    let mut outcomes = Outcomes::default();
    let retirements = [
        Retire::Now,
        Retire::At(sample::now()),
        Retire::At(Timestamp::MAX),
    ];
    for_each_state(|record| {
        for retire in retirements {
            for (version, read) in [(1, 1), (1, 2), (u64::MAX, u64::MAX)] {
                for earlier in [None, Some(sample::id(0))] {
                    let mut record = record.clone();
                    record.key.id = sample::record().key.id;
                    record.key.successor = earlier;
                    record.version = version;
                    let mut retired = insert(&store, record.clone());
                    let successor = sample::successor_of(&record);
                    let id = successor.key.id;
                    let expected = retired.retire(read, retire, id, sample::now());
                    let rotation = Rotation::new(record.key.id, read, retire, successor.clone());
                    let result = store.rotate(&workspace, &rotation, sample::now(), None);
                    outcomes.compare(block_on(result), expected, (&record, rotation));
                    assert_eq!(find(&store, &record), retired);
                    let inserted = block_on(store.find(&id)).unwrap();
                    assert_eq!(inserted, expected.is_ok().then_some(successor));
                }
            }
        }
    });
    outcomes.assert_both();
}

/// Returns a key with those settings of `full` whose bits are set, and with the others of `plain`.
fn mixed(bits: u32, plain: &Key, full: &Key) -> Key {
    let from = |bit: u32| if bits >> bit & 1 == 1 { full } else { plain };
    let mut key = plain.clone();
    key.name = from(0).name.clone();
    key.permissions = from(1).permissions.clone();
    key.metadata = from(2).metadata.clone();
    key.attributes = from(3).attributes.clone();
    key.enabled = from(4).enabled;
    key.expires_at = from(5).expires_at;
    key.allowed_ips = from(6).allowed_ips.clone();
    key
}

#[test]
fn an_update_changes_a_record_as_core_does() {
    let server = Server::start();
    let store = server.store();
    let mut full = sample::full().key;
    full.permissions = "calls:read".parse().unwrap();
    let mut outcomes = Outcomes::default();
    let mut check = |record: &mut Record, read: u64, bits: u32| {
        let settings = Settings::from(&mixed(bits, &record.key, &full));
        let Key { workspace, id, .. } = record.key.clone();
        let result = block_on(store.update(&workspace, &id, read, &settings, None));
        let expected = record.update(read, settings);
        let updated = VersionedKey::new(record.key.clone(), record.version);
        let expected = expected.map(|()| updated);
        outcomes.compare(result, expected, (&record, read, bits));
        assert_eq!(find(&store, record), *record);
    };
    // Sets each combination of the settings, and then the others.
    for bits in 0..1 << 7 {
        let mut record = insert(&store, sample::record());
        check(&mut record, 1, bits);
        check(&mut record, 2, !bits);
    }
    for version in VERSIONS {
        for revoked_at in [None, Some(sample::now())] {
            for read in [version, version - 1, version.saturating_add(1)] {
                let mut record = sample::full();
                record.version = version;
                record.key.revoked_at = revoked_at;
                check(&mut insert(&store, record), read, u32::MAX);
            }
        }
    }
    outcomes.assert_both();
}

#[test]
fn a_rehash_changes_a_record_as_core_does() {
    let server = Server::start();
    let store = server.store();
    let mut outcomes = Outcomes::default();
    let hash = sample::record().credential.hash;
    let credential = Credential::new(hash, Tag::from_bytes([9; Tag::LENGTH]));
    for version in VERSIONS {
        for revoked_at in [None, Some(sample::now())] {
            for read in [version, version - 1, version.saturating_add(1)] {
                let mut record = sample::full();
                record.version = version;
                record.key.revoked_at = revoked_at;
                let mut record = insert(&store, record);
                let result = block_on(store.rehash(&record.key.id, read, &credential));
                let expected = record.rehash(read, credential.clone());
                outcomes.compare(result, expected, (&record, read));
                assert_eq!(find(&store, &record), record);
            }
        }
    }
    outcomes.assert_both();
}

#[test]
fn a_revocation_changes_a_record_as_core_does() {
    let server = Server::start();
    let store = server.store();
    for version in VERSIONS {
        for revoked_at in ends() {
            let mut record = sample::full();
            record.version = version;
            record.key.revoked_at = revoked_at;
            let mut revoked = insert(&store, record.clone());
            let changed = revoked.revoke(sample::now());
            let reach = Reach::Key;
            let result = store.revoke(
                &record.key.workspace,
                &record.key.id,
                reach,
                sample::now(),
                None,
            );
            assert_eq!(block_on(result).unwrap().first, changed, "{record:?}");
            assert_eq!(find(&store, &record), revoked);
        }
    }
}

#[test]
fn a_cascade_changes_a_descendant_as_core_does() {
    let server = Server::start();
    let store = server.store();
    for version in VERSIONS {
        for revoked_at in [None, Some(Timestamp::MAX)] {
            let parent = insert(&store, sample::record());
            let mut child = sample::full();
            child.key.parent = Some(parent.key.id);
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
fn a_purge_deletes_exactly_the_records_that_core_covers() {
    let server = Server::start();
    let store = server.store();
    let other = Workspace::parse("other").unwrap();
    let bounds = [None, Some(sample::now()), Some(times()[3])];
    let mut left: Vec<Record> = Vec::new();
    let mut purged = 0;
    for revoked_before in bounds {
        for expired_before in bounds {
            for expires_at in ends() {
                for revoked_at in [None, Some(times()[1]), Some(sample::now())] {
                    for workspace in [sample::workspace(), other.clone()] {
                        let mut record = sample::full();
                        record.key.expires_at = expires_at;
                        record.key.revoked_at = revoked_at;
                        record.key.workspace = workspace;
                        left.push(insert(&store, record));
                    }
                }
            }
            let mut purge = Purge::new(u32::MAX);
            purge.revoked_before = revoked_before;
            purge.expired_before = expired_before;
            for purge in [purge.clone().with_workspace(sample::workspace()), purge] {
                let before = left.len();
                left.retain(|record| !purge.covers(&record.key));
                let deleted = (before - left.len()) as u64;
                assert_eq!(block_on(store.purge(&purge)).unwrap(), deleted, "{purge:?}");
                purged += deleted;
                for record in &left {
                    assert_eq!(find(&store, record), *record);
                }
            }
        }
    }
    assert!(
        purged > 50 && left.len() > 50,
        "{purged} and {}",
        left.len()
    );
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
