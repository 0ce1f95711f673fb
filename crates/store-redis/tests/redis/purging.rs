//! Purges that were interrupted, that meet damage, and that others are faster than.

use std::thread;

use futures_executor::block_on;
use keywright_core::{
    Environment, KeyId, KeyStore, ListKeys, Purge, Reach, Record, Retire, Rotation, StoreErrorKind,
    Timestamp,
};
use keywright_store_redis::{RedisConfig, RedisStore};
use redis::Commands;

use crate::{
    insert,
    interrupted::add_entries,
    names, revoke, sample,
    support::{Cluster, PATIENT, Server, connect},
};

/// What was revoked by any test, and all of it.
fn purge(store: &RedisStore) -> u64 {
    let everything = Purge::new(Timestamp::MAX, 100);
    let mut total = 0;
    loop {
        match block_on(store.purge(&everything)).unwrap() {
            0 => return total,
            count => total += count,
        }
    }
}

fn is_there(store: &RedisStore, record: &Record) -> bool {
    block_on(store.find(&record.key.id)).unwrap().is_some()
}

#[test]
fn nothing_is_left_in_the_server_of_what_was_purged() {
    let server = Server::start();
    let store = server.store();
    let root = insert(&store, sample::record());
    let child = insert(&store, sample::child_of(&root));
    block_on(store.touch(&[(root.key.id, sample::now()), (child.key.id, sample::now())])).unwrap();
    for record in [&root, &child] {
        revoke(&store, record);
    }
    assert_eq!(purge(&store), 2);
    let left: Vec<String> = server.redis().keys("*").unwrap();
    let of_no_key = |name: &String| ["kw:s:", "kw:h:"].iter().any(|own| name.starts_with(own));
    assert!(left.iter().all(of_no_key), "{left:?}");
    assert!(block_on(store.is_empty()).unwrap());
}

#[test]
fn a_note_of_a_child_that_a_crashed_purge_has_deleted_does_not_keep_its_parent() {
    let server = Server::start();
    let store = server.store();
    let root = insert(&store, sample::record());
    let child = insert(&store, sample::child_of(&root));
    for record in [&root, &child] {
        revoke(&store, record);
    }
    // As the program left it that ended after the child's record and before the note of it.
    let _: () = server.redis().del(names::record(&child.key.id)).unwrap();
    assert_eq!(purge(&store), 1);
    assert!(!is_there(&store, &root));
    assert!(
        block_on(store.is_empty()).unwrap(),
        "a mark counts as a key"
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
fn a_child_on_its_way_is_refused_once_its_parent_was_purged() {
    let server = Server::start();
    let store = server.store();
    let parent = insert(&store, sample::record());
    let mut child = sample::child_of(&parent);
    let noted: i64 = server
        .redis()
        .sadd(names::children(&parent.key.id), child.key.id.as_bytes())
        .unwrap();
    assert_eq!(noted, 1);
    revoke(&store, &parent);
    assert_eq!(purge(&store), 1);
    // What its insert would do next: the parent has been asked before.
    child.key.parent = None;
    let refused = block_on(store.insert(&child, sample::now())).unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Conflict);
    let ends: i64 = server.redis().ttl(names::record(&child.key.id)).unwrap();
    assert!(ends > 80_000, "the mark ends after {ends} s");
}

#[test]
fn a_note_of_another_ones_child_does_not_keep_a_parent() {
    let server = Server::start();
    let store = server.store();
    let [parent, other] = [(); 2].map(|()| insert(&store, sample::record()));
    let child = insert(&store, sample::child_of(&parent));
    let mut taken = sample::child_of(&other);
    taken.key.id = child.key.id;
    block_on(store.insert(&taken, sample::now())).unwrap_err();
    for record in [&parent, &other] {
        revoke(&store, record);
    }
    assert_eq!(purge(&store), 1);
    assert!(!is_there(&store, &other));
    assert!(is_there(&store, &parent) && is_there(&store, &child));
}

#[test]
fn damage_keeps_what_it_descends_from_and_stops_nothing_else() {
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
        let _: () = redis
            .set(&name, &bytes[..length.min(bytes.len() - 5)])
            .unwrap();
    };
    damage(cut_off, usize::MAX);
    damage(short, 66);
    let name = |[_, child]: &[Record; 2]| names::record(&child.key.id);
    let _: () = redis.set(name(text), "no record").unwrap();
    let _: () = redis.del(name(list)).unwrap();
    let _: i64 = redis.lpush(name(list), "x").unwrap();

    let workspace = Purge::new(Timestamp::MAX, 100).with_workspace(sample::workspace());
    assert_eq!(
        block_on(store.purge(&workspace)).unwrap(),
        4,
        "a whole family, and one whose damage comes after what a purge reads"
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
fn ids_that_lead_back_to_themselves_stay() {
    let server = Server::start();
    let store = server.store();
    let first = insert(&store, sample::record());
    let second = sample::successor_of(&first);
    let rotation = Rotation::new(first.key.id, 1, Retire::At(Timestamp::MAX), second.clone());
    block_on(store.rotate(&sample::workspace(), &rotation, sample::now())).unwrap();
    revoke(&store, &first);
    // The second becomes its own successor: a record does not tell whose it is.
    let mut redis = server.redis();
    let record: Vec<u8> = redis.get(names::record(&first.key.id)).unwrap();
    let _: () = redis.set(names::record(&second.key.id), record).unwrap();
    assert_eq!(purge(&store), 0);
    assert!(is_there(&store, &first) && is_there(&store, &second));
}

#[test]
fn who_may_not_read_records_is_not_told_that_there_are_none() {
    let server = Server::start();
    let store = server.store();
    let record = insert(&store, sample::record());
    revoke(&store, &record);
    let _: () = server.run("ACL SETUSER default -get").unwrap();
    let refused = block_on(store.purge(&Purge::new(Timestamp::MAX, 100))).unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Unavailable);
    let unknown = block_on(store.is_empty()).unwrap_err();
    assert_eq!(unknown.kind(), StoreErrorKind::Unavailable);
    let _: () = server.run("ACL SETUSER default +get").unwrap();
    assert_eq!(purge(&store), 1);
}

#[test]
fn a_workspace_is_walked_to_its_end() {
    let server = Server::start();
    let store = server.store();
    let oldest = insert(&store, sample::record());
    revoke(&store, &oldest);
    // More than are looked at in one step, of which there is nothing to be purged.
    add_entries(&server, 600);
    let mut own = Purge::new(Timestamp::MAX, 100);
    own.workspace = Some(sample::workspace());
    assert_eq!(block_on(store.purge(&own)).unwrap(), 1);
    assert!(!is_there(&store, &oldest));
}

#[test]
fn purges_beside_creations_and_revocations_leave_no_key_without_its_parent() {
    let cluster = Cluster::start();
    let config = RedisConfig::new(cluster.urls()).with_deadline(PATIENT);
    let stores = [(); 2].map(|()| connect(config.clone()));
    let [here, there] = &stores;
    let (mut kept, mut revoked) = (Vec::new(), 0);
    thread::scope(|scope| {
        let work = scope.spawn(|| {
            let mut kept = Vec::new();
            let mut revoked = 0;
            for round in 0..100 {
                let root = insert(here, sample::record());
                let child = insert(here, sample::child_of(&root));
                let lowest = insert(here, sample::child_of(&child));
                // From above, so that what is revoked has something active below it for a while.
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
        let all = here.revoke(&workspace, &root.key.id, Reach::Descendants, sample::now());
        assert_eq!(block_on(all).unwrap().count, 1, "the lowest is revoked");
    }
    assert_eq!(purge(here), kept.len() as u64 * 3);
    let ids: Vec<KeyId> = kept.iter().flatten().map(|record| record.key.id).collect();
    assert!(
        ids.iter()
            .all(|id| block_on(here.find(id)).unwrap().is_none())
    );
    assert!(block_on(here.is_empty()).unwrap());
}
