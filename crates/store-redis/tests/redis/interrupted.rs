//! The remains of calls that a crash has interrupted, and how later calls treat them.

use std::thread;

use futures_executor::block_on;
use keywright_core::{
    Environment, Key, KeyId, ListKeys, ListStart, Page, Reach, Timestamp, Workspace,
    store::{Alias, KeyStore, Record, Reservation, Reserved, Retire, Rotation, StoreErrorKind},
};
use keywright_store_redis::RedisStore;
use redis::Commands;

use crate::{
    find, insert, is_revoked, names, revoke_all, sample,
    support::{Server, calls, wait_for, wait_until},
};

fn page(store: &RedisStore, list: &ListKeys<KeyId>) -> Page<KeyId> {
    block_on(store.list(&sample::workspace(), Environment::Live, list, sample::now())).unwrap()
}

fn list(store: &RedisStore) -> Page<KeyId> {
    page(store, &ListKeys::new().with_limit(10))
}

/// Asserts that a descendant of a key cannot be revoked.
#[track_caller]
fn assert_cascade_is_corrupt(store: &RedisStore, Record { key, .. }: &Record) {
    let revoked = store.revoke(
        &key.workspace,
        &key.id,
        Reach::Descendants,
        sample::now(),
        None,
    );
    let failed = block_on(revoked).unwrap_err();
    assert_eq!(failed.kind(), StoreErrorKind::Corrupt);
}

fn ids(page: &Page<KeyId>) -> Vec<KeyId> {
    page.keys.iter().map(|key: &Key| key.id).collect()
}

/// Adds an entry for a key to the workspace's list.
fn add_entry(server: &Server, id: &KeyId) {
    let () = server.redis().zadd(names::INDEX, id.as_bytes(), 0).unwrap();
}

/// Adds this many entries without records to the workspace's list.
pub(crate) fn add_entries(server: &Server, count: usize) {
    let entries: Vec<_> = (0..count)
        .map(|_| (0, sample::record().key.id.as_bytes().to_vec()))
        .collect();
    let mut redis = server.redis();
    let () = redis.zadd_multiple(names::INDEX, &entries).unwrap();
}

#[test]
fn a_list_skips_an_entry_without_a_record_until_a_repeat_inserts_it() {
    let server = Server::start();
    let store = server.store();
    let older = insert(&store, sample::record()).key.id;
    let late = sample::record();
    let newer = insert(&store, sample::record()).key.id;
    let id = late.key.id;
    add_entry(&server, &id);
    let page = list(&store);
    assert_eq!(ids(&page), [newer, older]);
    assert_eq!(page.total, Some(3), "a total counts entries");
    insert(&store, late);
    let page = list(&store);
    assert_eq!(ids(&page), [newer, id, older]);
    assert_eq!(page.total, Some(3));
}

#[test]
fn a_page_with_an_entry_without_a_record_is_not_the_last_page() {
    let server = Server::start();
    let store = server.store();
    let [oldest, older] = [(); 2].map(|()| insert(&store, sample::record()).key.id);
    add_entry(&server, &sample::record().key.id);
    let newest = insert(&store, sample::record()).key.id;
    let mut list = ListKeys::new().with_limit(2);
    let first = page(&store, &list);
    assert_eq!(ids(&first), [newest, older]);
    assert_eq!(first.next, Some(older));
    list.start = ListStart::After(older);
    let last = page(&store, &list);
    assert_eq!(ids(&last), [oldest]);
    assert_eq!(last.next, None);
}

#[test]
fn a_search_reaches_the_oldest_key() {
    let server = Server::start();
    let store = server.store();
    let oldest = insert(&store, sample::record());
    // More entries than a search reads in one step.
    add_entries(&server, 600);
    let mut list = ListKeys::new().with_limit(10);
    list.search = Some(oldest.key.name.to_string());
    let found = page(&store, &list);
    assert_eq!(ids(&found), [oldest.key.id]);
    assert_eq!(found.total, Some(1));
}

#[test]
fn a_list_removes_an_entry_of_a_record_in_another_workspace() {
    let server = Server::start();
    let store = server.store();
    let mut foreign = sample::record();
    foreign.key.workspace = Workspace::parse("other").unwrap();
    let foreign = insert(&store, foreign);
    add_entry(&server, &foreign.key.id);
    assert_eq!(list(&store).keys, []);
    assert_eq!(list(&store).total, Some(0));
}

#[test]
fn a_registered_child_without_a_record_is_never_stored_once_its_parent_is_revoked() {
    let server = Server::start();
    let store = server.store();
    let parent = insert(&store, sample::record());
    let sibling = insert(&store, sample::child_of(&parent));
    let mut child = sample::child_of(&parent);
    let registered: i64 = server
        .redis()
        .sadd(names::received(&parent.key.id), child.key.id.as_bytes())
        .unwrap();
    assert_eq!(registered, 1);
    assert_eq!(
        revoke_all(&store, &parent),
        2,
        "the parent and its stored child"
    );
    assert_eq!(find(&store, &child.key.id), None);
    // The next step of its insertion. The parent was checked in the step before.
    child.key.parent = None;
    let rejected = block_on(store.insert(&child, sample::now(), None)).unwrap_err();
    assert_eq!(rejected.kind(), StoreErrorKind::Conflict);
    assert_eq!(find(&store, &child.key.id), None);
    assert_eq!(revoke_all(&store, &parent), 0);
    assert_eq!(ids(&list(&store)), [sibling.key.id, parent.key.id]);
}

#[test]
fn a_cascade_spares_a_child_that_another_parent_has_registered() {
    let server = Server::start();
    let store = server.store();
    let [parent, other] = [(); 2].map(|()| insert(&store, sample::record()));
    let child = insert(&store, sample::child_of(&parent));
    let mut taken = sample::child_of(&other);
    taken.key.id = child.key.id;
    let rejected = block_on(store.insert(&taken, sample::now(), None)).unwrap_err();
    assert_eq!(rejected.kind(), StoreErrorKind::AlreadyExists);
    assert_eq!(revoke_all(&store, &other), 1);
    assert_eq!(find(&store, &child.key.id), Some(child));
}

#[test]
fn a_registered_successor_is_never_stored_once_its_caller_is_revoked() {
    let server = Server::start();
    let store = server.store();
    let [caller, predecessor] = [(); 2].map(|()| insert(&store, sample::record()));
    let successor = sample::successor_of(&predecessor);
    let registered: i64 = server
        .redis()
        .sadd(names::received(&caller.key.id), successor.key.id.as_bytes())
        .unwrap();
    assert_eq!(registered, 1);
    assert_eq!(revoke_all(&store, &caller), 1);
    // The next step of the rotation. The caller was checked in the step before.
    let rotation = Rotation::new(predecessor.key.id, 1, Retire::Now, successor.clone());
    let workspace = &predecessor.key.workspace;
    let rejected = block_on(store.rotate(workspace, &rotation, sample::now(), None)).unwrap_err();
    assert_eq!(rejected.kind(), StoreErrorKind::Conflict);
    assert_eq!(find(&store, &successor.key.id), None);
    assert_eq!(find(&store, &predecessor.key.id), Some(predecessor));
}

#[test]
fn a_cascade_reaches_a_child_that_another_descendant_has_also_registered() {
    let server = Server::start();
    let store = server.store();
    let root = insert(&store, sample::record());
    let children = [(); 8].map(|()| insert(&store, sample::child_of(&root)));
    let grandchild = insert(&store, sample::child_of(&children[0]));
    for other in &children[1..] {
        let mut taken = sample::child_of(other);
        taken.key.id = grandchild.key.id;
        let rejected = block_on(store.insert(&taken, sample::now(), None)).unwrap_err();
        assert_eq!(rejected.kind(), StoreErrorKind::AlreadyExists);
    }
    assert_eq!(revoke_all(&store, &root), 10);
    assert!(is_revoked(&store, &grandchild.key.id));
}

#[test]
fn a_cascade_through_lineage_in_a_circle_ends() {
    let server = Server::start();
    let store = server.store();
    let [parent, child] = insert_circle(&server, &store);
    assert_eq!(revoke_all(&store, &parent), 2);
    assert!(is_revoked(&store, &child.key.id));
    assert_eq!(revoke_all(&store, &child), 0);
}

/// Inserts two keys, each of which has received the other's secret. Only damage can cause this.
pub(crate) fn insert_circle(server: &Server, store: &RedisStore) -> [Record; 2] {
    let mut parent = sample::record();
    let child = sample::child_of(&parent);
    parent.key.rotated_by = Some(child.key.id);
    let parent = insert(store, parent);
    let child = insert(store, child);
    let registered: i64 = server
        .redis()
        .sadd(names::received(&child.key.id), parent.key.id.as_bytes())
        .unwrap();
    assert_eq!(registered, 1);
    [parent, child]
}

#[test]
fn a_cascade_reports_a_damaged_registration_after_revoking_all_other_keys() {
    let server = Server::start();
    let store = server.store();
    let parent = insert(&store, sample::record());
    let child = insert(&store, sample::child_of(&parent));
    let _: i64 = server
        .redis()
        .sadd(names::received(&parent.key.id), "cut off")
        .unwrap();
    for _ in 0..2 {
        assert_cascade_is_corrupt(&store, &parent);
        assert!(is_revoked(&store, &child.key.id));
    }
}

#[test]
fn a_cascade_reports_a_damaged_descendant_after_revoking_all_other_keys() {
    let server = Server::start();
    let store = server.store();
    let root = insert(&store, sample::record());
    let child = insert(&store, sample::child_of(&root));
    let grandchild = insert(&store, sample::child_of(&child));
    let () = server
        .redis()
        .set(names::record(&child.key.id), "cut off")
        .unwrap();
    for _ in 0..2 {
        assert_cascade_is_corrupt(&store, &root);
        assert!(is_revoked(&store, &root.key.id));
        assert!(is_revoked(&store, &grandchild.key.id));
    }
}

#[test]
fn a_reserved_id_can_be_used_after_its_server_has_crashed() {
    let server = Server::start();
    let store = server.store();
    let record = sample::record();
    let reservation = Reservation::new([1; 32], [2; 32], record.key.id, Timestamp::MAX);
    let reserve = || block_on(store.reserve(&reservation, sample::now())).unwrap();
    assert_eq!(reserve(), Reserved::New);
    let bound = Reserved::Earlier {
        id: record.key.id,
        fingerprint: [2; 32],
    };
    assert_eq!(reserve(), bound);
    insert(&store, record.clone());
    assert_eq!(reserve(), bound);
    let again = block_on(store.insert(&record, sample::now(), None)).unwrap_err();
    assert_eq!(again.kind(), StoreErrorKind::AlreadyExists);
}

#[test]
fn a_new_reservation_removes_expired_reservations() {
    let server = Server::start();
    let store = server.store();
    for number in 0..50_u8 {
        // Keys with the same first byte are stored together.
        let mut key = [number; 32];
        key[0] = 0;
        let time =
            |millis: i64| Timestamp::from_millis(i64::from(number) * 1_000 + millis).unwrap();
        let reservation = Reservation::new(key, [0; 32], sample::record().key.id, time(1_000));
        let reserved = block_on(store.reserve(&reservation, time(0))).unwrap();
        assert_eq!(reserved, Reserved::New);
    }
    let left: i64 = server.redis().hlen("kw:v:{00}").unwrap();
    assert_eq!(left, 1);
}

/// Returns a new record with an alias that no other has.
fn imported() -> Record {
    let Record {
        key, credential, ..
    } = sample::record();
    let mut alias = [0xa5; Alias::LENGTH];
    alias[..16].copy_from_slice(key.id.as_bytes());
    Record::imported(key, credential, Alias::from_bytes(alias))
}

fn with_alias_of(other: &Record) -> Record {
    let Record {
        key, credential, ..
    } = sample::record();
    Record::imported(key, credential, other.alias.unwrap())
}

/// Gives the alias of a record to its key, as an insert does before it stores the record.
fn claim(server: &Server, record: &Record) {
    let name = names::alias(&record.alias.unwrap());
    let () = server.redis().set(name, record.key.id.as_bytes()).unwrap();
}

fn try_insert(store: &RedisStore, record: &Record) -> Result<(), StoreErrorKind> {
    block_on(store.insert(record, sample::now(), None)).map_err(|error| error.kind())
}

fn find_by_alias(store: &RedisStore, record: &Record) -> Option<Record> {
    block_on(store.find_by_alias(&record.alias.unwrap())).unwrap()
}

#[test]
fn the_alias_of_an_interrupted_insert_goes_to_the_next_key_and_never_back() {
    let server = Server::start();
    let store = server.store();
    let interrupted = imported();
    claim(&server, &interrupted);
    assert_eq!(find_by_alias(&store, &interrupted), None);
    let next = insert(&store, with_alias_of(&interrupted));
    assert_eq!(find_by_alias(&store, &next), Some(next.clone()));
    // A tombstone prevents the last step of the interrupted insert.
    let without_alias = Record::new(interrupted.key.clone(), interrupted.credential.clone());
    for (late, kind) in [
        (&interrupted, StoreErrorKind::AlreadyExists),
        (&without_alias, StoreErrorKind::Conflict),
    ] {
        assert_eq!(try_insert(&store, late), Err(kind));
    }
    assert_eq!(find(&store, &interrupted.key.id), None);
    assert_eq!(find_by_alias(&store, &next), Some(next));
}

#[test]
fn the_alias_of_an_interrupted_purge_goes_to_the_next_key() {
    let server = Server::start();
    let store = server.store();
    let purged = insert(&store, imported());
    let () = server.redis().del(names::record(&purged.key.id)).unwrap();
    assert_eq!(find_by_alias(&store, &purged), None);
    let next = insert(&store, with_alias_of(&purged));
    assert_eq!(find_by_alias(&store, &next), Some(next));
}

#[test]
fn bug_an_insert_took_the_alias_of_one_in_progress_so_that_two_imports_of_a_file_failed() {
    let server = Server::start();
    let store = server.store();
    let reads = || calls(&server, "get");
    // On a slow machine, the first insert may come too late.
    wait_for("the first insert keeps its alias", || {
        let first = imported();
        claim(&server, &first);
        let before = reads();
        let second = with_alias_of(&first);
        let (first_result, second_result) = thread::scope(|scope| {
            let second = scope.spawn(|| try_insert(&store, &second));
            // It reads the claim, and looks for the record.
            wait_until("the second insert waits", || reads() >= before + 2);
            (try_insert(&store, &first), second.join().unwrap())
        });
        let results = (first_result, second_result);
        let found = find_by_alias(&store, &first).unwrap();
        match results {
            (Ok(()), Err(StoreErrorKind::AlreadyExists)) => {
                assert_eq!(found, first);
                Some(())
            }
            (Err(StoreErrorKind::AlreadyExists), Ok(())) => {
                assert_eq!(found, second);
                None
            }
            results => panic!("{results:?}"),
        }
    });
}
