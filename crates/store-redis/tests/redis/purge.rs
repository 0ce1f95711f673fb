//! Purges after an interrupted purge, with damaged records, and concurrent with other changes.

use std::{thread, time::Duration};

use futures_executor::block_on;
use keywright_core::{
    Environment, KeyId, ListKeys, Reach, Timestamp, Workspace,
    store::{KeyStore, Purge, PurgeEvents, Record, Retire, Rotation, StoreErrorKind},
};
use keywright_store_redis::RedisStore;
use redis::Commands;

use crate::{
    find, insert,
    interrupted::{add_entries, insert_circle},
    names, revoke, sample,
    support::{Cluster, Server},
    try_update,
};

/// Selects all revoked keys.
fn all_revoked() -> Purge {
    Purge::new(100).with_revoked_before(Timestamp::MAX)
}

/// Deletes all revoked keys, and returns how many there were.
fn purge(store: &RedisStore) -> u64 {
    purge_all(store, &all_revoked())
}

/// Purges until nothing is left, and returns how many records that deleted.
fn purge_all(store: &RedisStore, purge: &Purge) -> u64 {
    let mut total = 0;
    loop {
        match block_on(store.purge(purge)).unwrap() {
            0 => return total,
            count => total += count,
        }
    }
}

fn is_there(store: &RedisStore, record: &Record) -> bool {
    find(store, &record.key.id).is_some()
}

#[test]
fn purges_leave_nothing_of_the_keys_and_their_events_in_the_server() {
    let server = Server::start();
    let store = server.store();
    let root = insert(&store, sample::record());
    let mut child = sample::child_of(&root);
    child.key.owner = Some(sample::owner("user:1"));
    child.key.environment = Environment::Test;
    let child = insert(&store, child);
    block_on(store.touch(&[(root.key.id, sample::now()), (child.key.id, sample::now())])).unwrap();
    for record in [&root, &child] {
        revoke(&store, record);
    }
    assert_eq!(purge(&store), 2);
    let all = PurgeEvents::new(Timestamp::MAX, 10);
    assert_eq!(block_on(store.purge_events(&all)).unwrap(), 4);
    assert_eq!(block_on(store.purge_events(&all)).unwrap(), 0);
    let left: Vec<String> = server.redis().keys("*").unwrap();
    let belongs_to_no_key = |name: &String| {
        let prefixes = ["kw:s:", "kw:h:"];
        prefixes.iter().any(|prefix| name.starts_with(prefix))
    };
    assert!(left.iter().all(belongs_to_no_key), "{left:?}");
    assert!(block_on(store.is_empty()).unwrap());
}

#[test]
fn an_expired_key_is_purged_once_all_its_descendants_have_ended() {
    let server = Server::start();
    let store = server.store();
    let expiring = |mut record: Record, millis: i64| {
        record.key.expires_at = Timestamp::from_millis(sample::now().as_millis() + millis).ok();
        insert(&store, record)
    };
    let ended = |millis: i64| {
        let bound = Timestamp::from_millis(sample::now().as_millis() + millis).unwrap();
        Purge::new(100).with_expired_before(bound)
    };
    let root = expiring(sample::record(), 10);
    let child = expiring(sample::child_of(&root), 5);
    let other = insert(&store, sample::record());
    let successor = sample::successor_of(&child);
    let retire = Retire::At(Timestamp::MAX);
    let rotation = Rotation::new(child.key.id, 1, retire, successor.clone());
    block_on(store.rotate(&sample::workspace(), &rotation, sample::now(), None)).unwrap();
    // The successor never expires.
    assert_eq!(purge_all(&store, &ended(100)), 0);
    let mut ending = successor.key.clone();
    ending.expires_at = Timestamp::from_millis(sample::now().as_millis() + 20).ok();
    block_on(try_update(&store, &successor, &ending)).unwrap();
    assert_eq!(purge_all(&store, &ended(20)), 0);
    assert_eq!(purge_all(&store, &ended(21)), 3);
    for gone in [&root, &child, &successor] {
        assert!(!is_there(&store, gone));
    }
    assert!(is_there(&store, &other));
}

#[test]
fn a_purge_spares_a_key_that_an_update_lets_expire_later_at_the_same_time() {
    const ROUNDS: u64 = 200;
    let server = Server::start();
    let [here, there] = &[(); 2].map(|()| server.store());
    let mut spared = 0;
    for round in 0..ROUNDS {
        let mut record = sample::record();
        record.key.workspace = Workspace::parse(&format!("round-{round}")).unwrap();
        let expired = Purge::new(10)
            .with_expired_before(sample::now())
            .with_workspace(record.key.workspace.clone());
        record.key.expires_at = Timestamp::from_millis(1).ok();
        let record = insert(here, record);
        let mut lasting = record.key.clone();
        lasting.expires_at = None;
        let (updated, purged) = thread::scope(|scope| {
            let purge = scope.spawn(|| block_on(there.purge(&expired)).unwrap());
            // Different moments between the steps of the purge.
            thread::sleep(Duration::from_micros(round % 50 * 20));
            let updated = block_on(try_update(here, &record, &lasting));
            (updated, purge.join().unwrap())
        });
        match updated {
            Ok(updated) => {
                assert_eq!(purged, 0);
                assert_eq!(find(there, &record.key.id).unwrap().key, updated.key);
                spared += 1;
            }
            Err(error) => {
                assert_eq!(error.kind(), StoreErrorKind::NotFound);
                assert_eq!(purged, 1);
                assert!(!is_there(there, &record));
            }
        }
    }
    println!("{spared} of {ROUNDS} keys were spared");
}

#[test]
fn a_key_that_received_each_successor_of_a_lineage_is_purged_with_it() {
    let server = Server::start();
    let store = server.store();
    let [caller, old] = [(); 2].map(|()| insert(&store, sample::record()));
    let mut lineage = vec![caller.clone(), old];
    // The caller has received each successor of the lineage.
    for _ in 0..3 {
        let old = lineage.last().unwrap();
        let mut new = sample::successor_of(old);
        new.key.rotated_by = Some(caller.key.id);
        let rotation = Rotation::new(old.key.id, 1, Retire::At(Timestamp::MAX), new.clone());
        block_on(store.rotate(&sample::workspace(), &rotation, sample::now(), None)).unwrap();
        lineage.push(new);
    }
    for record in &lineage {
        revoke(&store, record);
    }
    assert_eq!(purge(&store), 5);
    assert!(block_on(store.is_empty()).unwrap());
    let left: Vec<String> = server.redis().keys("kw:c:*").unwrap();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn a_purge_keeps_lineage_in_a_circle() {
    let server = Server::start();
    let store = server.store();
    let circle = insert_circle(&server, &store);
    for record in &circle {
        revoke(&store, record);
    }
    assert_eq!(purge(&store), 0);
    assert!(circle.iter().all(|record| is_there(&store, record)));
}

#[test]
fn a_parent_is_purged_although_a_crashed_purge_left_its_child_registered() {
    let server = Server::start();
    let store = server.store();
    let root = insert(&store, sample::record());
    let child = insert(&store, sample::child_of(&root));
    for record in [&root, &child] {
        revoke(&store, record);
    }
    // The state after a crash between the deletion of the child's record and its removal from the
    // parent's children.
    let () = server.redis().del(names::record(&child.key.id)).unwrap();
    assert_eq!(purge(&store), 1);
    assert!(!is_there(&store, &root));
    assert!(
        block_on(store.is_empty()).unwrap(),
        "a tombstone counts as a key"
    );
    let page = block_on(store.list(
        &sample::workspace(),
        Environment::Live,
        &ListKeys::new().with_limit(10),
        sample::now(),
    ));
    assert_eq!(page.unwrap().keys, []);
}

#[test]
fn a_child_that_is_being_inserted_is_rejected_once_its_parent_was_purged() {
    let server = Server::start();
    let store = server.store();
    let parent = insert(&store, sample::record());
    let mut child = sample::child_of(&parent);
    let registered: i64 = server
        .redis()
        .sadd(names::received(&parent.key.id), child.key.id.as_bytes())
        .unwrap();
    assert_eq!(registered, 1);
    revoke(&store, &parent);
    assert_eq!(purge(&store), 1);
    // The next step of its insertion. The parent was checked in the step before.
    child.key.parent = None;
    let rejected = block_on(store.insert(&child, sample::now(), None)).unwrap_err();
    assert_eq!(rejected.kind(), StoreErrorKind::Conflict);
    let ends: i64 = server.redis().ttl(names::record(&child.key.id)).unwrap();
    assert!(ends > 80_000, "the tombstone expires after {ends} s");
}

#[test]
fn a_parent_is_purged_although_it_has_registered_another_parents_child() {
    let server = Server::start();
    let store = server.store();
    let [parent, other] = [(); 2].map(|()| insert(&store, sample::record()));
    let child = insert(&store, sample::child_of(&parent));
    let mut taken = sample::child_of(&other);
    taken.key.id = child.key.id;
    block_on(store.insert(&taken, sample::now(), None)).unwrap_err();
    for record in [&parent, &other] {
        revoke(&store, record);
    }
    assert_eq!(purge(&store), 1);
    assert!(!is_there(&store, &other));
    assert!(is_there(&store, &parent) && is_there(&store, &child));
}

#[test]
fn a_damaged_record_keeps_its_ancestors_and_no_other_keys() {
    let server = Server::start();
    let store = server.store();
    let families = [(); 5].map(|()| {
        let root = insert(&store, sample::record());
        let child = insert(&store, sample::child_of(&root));
        for record in [&root, &child] {
            revoke(&store, record);
        }
        [root, child]
    });
    let [whole, cut_off, short, text, list] = &families;
    let mut redis = server.redis();
    let mut damage = |[_, child]: &[Record; 2], length: usize| {
        let name = names::record(&child.key.id);
        let bytes: Vec<u8> = redis.get(&name).unwrap();
        let () = redis
            .set(&name, &bytes[..length.min(bytes.len() - 5)])
            .unwrap();
    };
    damage(cut_off, usize::MAX);
    // In the middle of the ids.
    damage(short, 66);
    let name = |[_, child]: &[Record; 2]| names::record(&child.key.id);
    let () = redis.set(name(text), "no record").unwrap();
    let () = redis.del(name(list)).unwrap();
    let _: i64 = redis.lpush(name(list), "x").unwrap();

    let workspace = all_revoked().with_workspace(sample::workspace());
    assert_eq!(
        block_on(store.purge(&workspace)).unwrap(),
        4,
        "an intact family, and a family whose damage is after the fields that a purge reads"
    );
    assert_eq!(purge(&store), 0);
    for [root, _] in [whole, cut_off] {
        assert!(!is_there(&store, root));
    }
    for family in [short, text, list] {
        assert!(is_there(&store, &family[0]));
        let kind = block_on(store.find(&family[1].key.id)).unwrap_err().kind();
        assert_eq!(kind, StoreErrorKind::Corrupt);
    }
}

#[test]
fn keys_whose_successors_form_a_cycle_are_kept() {
    let server = Server::start();
    let store = server.store();
    let first = insert(&store, sample::record());
    let second = sample::successor_of(&first);
    let rotation = Rotation::new(first.key.id, 1, Retire::At(Timestamp::MAX), second.clone());
    block_on(store.rotate(&sample::workspace(), &rotation, sample::now(), None)).unwrap();
    revoke(&store, &first);
    // A record does not contain its own id, so the second key becomes its own successor.
    let mut redis = server.redis();
    let record: Vec<u8> = redis.get(names::record(&first.key.id)).unwrap();
    let () = redis.set(names::record(&second.key.id), record).unwrap();
    assert_eq!(purge(&store), 0);
    assert!(is_there(&store, &first) && is_there(&store, &second));
}

#[test]
fn a_user_without_the_right_to_read_records_gets_an_error_and_not_an_empty_store() {
    let server = Server::start();
    let store = server.store();
    let record = insert(&store, sample::record());
    revoke(&store, &record);
    let () = server.run("ACL SETUSER default -get").unwrap();
    let rejected = block_on(store.purge(&all_revoked())).unwrap_err();
    assert_eq!(rejected.kind(), StoreErrorKind::Unavailable);
    let unknown = block_on(store.is_empty()).unwrap_err();
    assert_eq!(unknown.kind(), StoreErrorKind::Unavailable);
    let () = server.run("ACL SETUSER default +get").unwrap();
    assert_eq!(purge(&store), 1);
}

#[test]
fn a_purge_of_a_workspace_reaches_its_oldest_key() {
    let server = Server::start();
    let store = server.store();
    let oldest = insert(&store, sample::record());
    revoke(&store, &oldest);
    // More entries than a purge reads in one step, and none of them can be purged.
    add_entries(&server, 600);
    let own = all_revoked().with_workspace(sample::workspace());
    assert_eq!(block_on(store.purge(&own)).unwrap(), 1);
    assert!(!is_there(&store, &oldest));
}

#[test]
fn concurrent_purges_creations_and_revocations_leave_no_key_without_its_parent() {
    let cluster = Cluster::start();
    let [here, there] = &[(); 2].map(|()| cluster.store());
    let (mut kept, mut revoked) = (Vec::new(), 0);
    thread::scope(|scope| {
        let work = scope.spawn(|| {
            let mut kept = Vec::new();
            let mut revoked = 0;
            for round in 0..100 {
                let root = insert(here, sample::record());
                let child = insert(here, sample::child_of(&root));
                let lowest = insert(here, sample::child_of(&child));
                // Top down, so that revoked keys have an active descendant for a while.
                revoke(here, &root);
                revoke(here, &child);
                if round % 2 == 0 {
                    revoke(here, &lowest);
                    revoked += 3;
                } else {
                    kept.push([root, child, lowest]);
                }
            }
            (kept, revoked)
        });
        let mut purged = 0;
        while !work.is_finished() {
            purged += purge(there);
        }
        (kept, revoked) = work.join().unwrap();
        assert_eq!(purged + purge(there), revoked);
    });
    for [root, child, lowest] in &kept {
        for record in [root, child, lowest] {
            assert!(is_there(there, record), "{} is lost", record.key.id);
        }
        let workspace = sample::workspace();
        let all = here.revoke(
            &workspace,
            &root.key.id,
            Reach::Descendants,
            sample::now(),
            None,
        );
        assert_eq!(
            block_on(all).unwrap().count,
            1,
            "only the lowest was active"
        );
    }
    assert_eq!(purge(here), kept.len() as u64 * 3);
    let ids: Vec<KeyId> = kept.iter().flatten().map(|record| record.key.id).collect();
    assert!(ids.iter().all(|id| find(here, id).is_none()));
    assert!(block_on(here.is_empty()).unwrap());
}
