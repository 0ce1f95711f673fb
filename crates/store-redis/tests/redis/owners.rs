//! The indexes of owners: their names, what a page costs, and what crashes, purges and damage leave
//! in them.

use futures_executor::block_on;
use keywright_core::{
    Environment, Key, KeyId, ListKeys, ListStart, Owner, Page, Status, Timestamp, Workspace,
    store::{KeyStore, Purge, StoreErrorKind},
};
use keywright_store_redis::RedisStore;
use redis::Commands;

use crate::{
    find, insert, names, revoke, sample,
    support::{Cluster, Server, calls},
};

/// Copies a record under new names, and adds the copies to the indexes: the records of as many keys
/// of one owner.
const COPY: &str = "
    local record = redis.call('GET', KEYS[1])
    for n = 1, ARGV[1] do
        local id = string.format('0U4%013d', n)
        redis.call('SET', 'kw:r:{' .. id:sub(9, 11) .. '}:' .. id, record)
        for index = 2, #KEYS do redis.call('ZADD', KEYS[index], 0, id) end
    end";

fn list_as(store: &RedisStore, caller: Environment, list: &ListKeys<KeyId>) -> Page<KeyId> {
    block_on(store.list(&sample::workspace(), caller, list, sample::now())).unwrap()
}

fn list(store: &RedisStore, owner: &Owner) -> Page<KeyId> {
    list_as(store, Environment::Live, &of(owner))
}

fn of(owner: &Owner) -> ListKeys<KeyId> {
    ListKeys::new().with_owner(owner.clone()).with_limit(10)
}

fn ids(page: &Page<KeyId>) -> Vec<KeyId> {
    page.keys.iter().map(|key: &Key| key.id).collect()
}

fn insert_for(store: &RedisStore, owner: &Owner, environment: Environment) -> KeyId {
    let mut record = sample::owned_by(owner);
    record.key.environment = environment;
    insert(store, record).key.id
}

/// Adds an entry to the index of an owner.
fn add_entry(server: &Server, owner: &Owner, id: &[u8]) {
    let index = names::index_of_owner(owner);
    let added: i64 = server.redis().zadd(index, id, 0).unwrap();
    assert_eq!(added, 1);
}

fn entries(server: &Server, owner: &Owner) -> u64 {
    server.redis().zcard(names::index_of_owner(owner)).unwrap()
}

#[test]
fn keys_of_owners_with_any_visible_character_are_listed_apart_in_a_cluster() {
    let cluster = Cluster::start();
    let store = cluster.store();
    let (slot, place) = cluster.slot("default");
    let mut redis = cluster.servers[place].redis();
    let characters = (b'!'..=b'~').map(|byte| char::from(byte).to_string());
    let others = [
        r#"{"a","b"}"#,
        "{}",
        "}{",
        "{default}",
        ":a",
        "a:",
        "%7B",
        "**",
    ];
    let owners: Vec<Owner> = characters
        .chain(others.map(String::from))
        .map(|name| sample::owner(&name))
        .collect();
    let keys: Vec<[KeyId; 2]> = owners
        .iter()
        .map(|owner| {
            [Environment::Live, Environment::Test]
                .map(|environment| insert_for(&store, owner, environment))
        })
        .collect();
    for (owner, [live, test]) in owners.iter().zip(keys) {
        for (caller, name, expected) in [
            (
                Environment::Live,
                names::index_of_owner(owner),
                &[test, live][..],
            ),
            (
                Environment::Test,
                names::test_index_of_owner(owner),
                &[test],
            ),
        ] {
            let page = list_as(&store, caller, &of(owner));
            assert_eq!(ids(&page), expected, "{owner}");
            assert_eq!(page.total, Some(expected.len() as u64));
            // All indexes of a workspace are in one slot.
            let mut keyslot = redis::cmd("CLUSTER");
            keyslot.arg("KEYSLOT").arg(&name);
            assert_eq!(keyslot.query(&mut redis), Ok(slot), "{name}");
            let entries: usize = redis.zcard(&name).unwrap();
            assert_eq!(entries, expected.len(), "{name}");
        }
    }
}

#[test]
fn a_page_of_an_owner_costs_as_much_as_its_keys_among_10_000_keys_of_another() {
    const OTHERS: u64 = 10_000;
    const OWN: u64 = 25;
    const PAGE: u64 = 10;
    let server = Server::start();
    let store = server.store();
    let [own, other] = ["own", "other"].map(sample::owner);
    let copied = insert(&store, sample::owned_by(&other));
    let mut copy = redis::cmd("EVAL");
    copy.arg(COPY)
        .arg(3)
        .arg(names::record(&copied.key.id))
        .arg(names::INDEX)
        .arg(names::index_of_owner(&other))
        .arg(OTHERS);
    let () = copy.query(&mut server.redis()).unwrap();
    let mut keys: Vec<KeyId> = (0..OWN)
        .map(|number| {
            let mut record = sample::owned_by(&own);
            record.key.enabled = number % 5 > 0;
            insert(&store, record).key.id
        })
        .collect();
    keys.reverse();
    let page = list(&store, &other);
    assert_eq!((page.keys.len(), page.total), (10, Some(OTHERS + 1)));
    let all = ListKeys::new().with_limit(1);
    let total = list_as(&store, Environment::Live, &all).total;
    assert_eq!(total, Some(OTHERS + OWN + 1));

    // A repeated attempt reads a key again.
    let assert_cost = |before: [u64; 2], reads: u64| {
        let [ranges, gets] = costs(&server);
        assert!(ranges - before[0] <= 2, "{ranges}");
        assert!(gets - before[1] <= 2 * reads, "{gets}");
    };
    let mut wanted = of(&own);
    let mut listed = Vec::new();
    loop {
        let before = costs(&server);
        let page = list_as(&store, Environment::Live, &wanted);
        assert_cost(before, PAGE + 1);
        listed.extend(ids(&page));
        let Some(next) = page.next else { break };
        wanted = wanted.with_start(ListStart::After(next));
    }
    assert_eq!(listed, keys);
    // A list with a filter reads all keys of the owner, and none of the other's.
    let before = costs(&server);
    let disabled = of(&own).with_status(Status::Disabled);
    let page = list_as(&store, Environment::Live, &disabled);
    assert_eq!((page.keys.len(), page.total), (5, Some(5)));
    assert_cost(before, OWN);
    let before = costs(&server);
    let page = list_as(&store, Environment::Test, &of(&other));
    assert_eq!((page.keys, page.total), (Vec::new(), Some(0)));
    assert_cost(before, 0);
}

/// Returns how many steps of indexes and how many records the server has read.
fn costs(server: &Server) -> [u64; 2] {
    ["zrange", "mget"].map(|command| calls(server, command))
}

#[test]
fn a_list_of_an_owner_skips_an_entry_without_a_record_until_a_repeat_inserts_it() {
    let server = Server::start();
    let store = server.store();
    let owner = sample::owner("user:1");
    let older = insert_for(&store, &owner, Environment::Live);
    // The state after a crash between the entries and the record.
    let late = sample::owned_by(&owner);
    add_entry(&server, &owner, late.key.id.as_bytes());
    let page = list(&store, &owner);
    assert_eq!((ids(&page), page.total), (vec![older], Some(2)));
    let id = insert(&store, late).key.id;
    let page = list(&store, &owner);
    assert_eq!((ids(&page), page.total), (vec![id, older], Some(2)));
}

#[test]
fn a_list_of_an_owner_removes_entries_of_keys_that_are_not_on_it() {
    let server = Server::start();
    let store = server.store();
    let [own, other] = ["user:1", "user:2"].map(sample::owner);
    let id = insert_for(&store, &own, Environment::Live);
    let foreign = insert_for(&store, &other, Environment::Live);
    let ownerless = insert(&store, sample::record()).key.id;
    let mut elsewhere = sample::owned_by(&own);
    elsewhere.key.workspace = Workspace::parse("other").unwrap();
    let elsewhere = insert(&store, elsewhere).key.id;
    let mut taken = sample::owned_by(&own);
    taken.key.id = foreign;
    let rejected = block_on(store.insert(&taken, sample::now(), None)).unwrap_err();
    assert_eq!(rejected.kind(), StoreErrorKind::AlreadyExists);
    assert_eq!(entries(&server, &own), 1, "a rejected insert adds none");
    // A rejected insert adds one on a cluster.
    for strange in [foreign, ownerless, elsewhere] {
        add_entry(&server, &own, strange.as_bytes());
    }
    assert_eq!(entries(&server, &own), 4);
    assert_eq!(ids(&list(&store, &own)), [id]);
    assert_eq!(entries(&server, &own), 1);
    assert_eq!(ids(&list(&store, &other)), [foreign]);
    let test_id = insert_for(&store, &own, Environment::Test);
    let test_index = names::test_index_of_owner(&own);
    let () = server.redis().zadd(&test_index, id.as_bytes(), 0).unwrap();
    let page = list_as(&store, Environment::Test, &of(&own));
    assert_eq!(ids(&page), [test_id]);
    let left: u64 = server.redis().zcard(&test_index).unwrap();
    assert_eq!(left, 1);
}

#[test]
fn a_purged_key_has_no_entry_and_those_of_other_keys_stay() {
    let server = Server::start();
    let store = server.store();
    let owner = sample::owner("user:1");
    let [kept, revoked] = [(); 2].map(|()| insert(&store, sample::owned_by(&owner)));
    let mut expired = sample::owned_by(&owner);
    expired.key.expires_at = Some(sample::now());
    let expired = insert(&store, expired);
    revoke(&store, &revoked);
    let purge = Purge::new(10)
        .with_revoked_before(Timestamp::MAX)
        .with_expired_before(Timestamp::MAX);
    assert_eq!(block_on(store.purge(&purge)).unwrap(), 2);
    assert_eq!(entries(&server, &owner), 1);
    assert_eq!(ids(&list(&store, &owner)), [kept.key.id]);
    for gone in [revoked, expired] {
        assert_eq!(find(&store, &gone.key.id), None);
    }
}

#[test]
fn a_damaged_index_or_record_of_an_owner_is_corrupt() {
    let server = Server::start();
    let store = server.store();
    let [strange, wrong, damaged] = ["strange", "wrong", "damaged"].map(sample::owner);
    let corrupt = |owner: &Owner| {
        let (workspace, list) = (sample::workspace(), of(owner));
        let listed = store.list(&workspace, Environment::Live, &list, sample::now());
        assert_eq!(
            block_on(listed).unwrap_err().kind(),
            StoreErrorKind::Corrupt
        );
    };
    // An entry that is no id.
    add_entry(&server, &strange, b"cut off");
    corrupt(&strange);
    // An index of another type. No key of the owner can be inserted.
    let () = server
        .redis()
        .set(names::index_of_owner(&wrong), "x")
        .unwrap();
    corrupt(&wrong);
    let record = sample::owned_by(&wrong);
    let rejected = block_on(store.insert(&record, sample::now(), None)).unwrap_err();
    assert_eq!(rejected.kind(), StoreErrorKind::Corrupt);
    assert_eq!(find(&store, &record.key.id), None);
    // A flag that is neither 0 nor 1.
    let id = insert_for(&store, &damaged, Environment::Live);
    let () = server
        .redis()
        .setrange(names::record(&id), 2, "\x02")
        .unwrap();
    corrupt(&damaged);
    let unreadable = block_on(store.find(&id)).unwrap_err();
    assert_eq!(unreadable.kind(), StoreErrorKind::Corrupt);
    // A key whose flag is damaged admits no key.
    let mut child = sample::record();
    child.key.parent = Some(id);
    let rejected = block_on(store.insert(&child, sample::now(), None)).unwrap_err();
    assert_eq!(rejected.kind(), StoreErrorKind::Corrupt);
}
