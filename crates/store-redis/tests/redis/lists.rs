//! Lists, cascades and purges of large workspaces: they are bounded, end if their caller drops
//! them, and do not delay verifications.

use std::{sync::Arc, time::Duration};

use futures_executor::block_on;
use keywright_core::{
    Environment, KeyId, ListKeys, ListStart, Page, Status, Timestamp, Workspace,
    store::{KeyStore, Purge, StoreError, StoreErrorKind},
};
use keywright_store_redis::RedisStore;
use tokio::task::JoinSet;

use crate::{
    chain, find, insert, names, revoke_all, sample,
    support::{PATIENCE, Server, calls, connect, wait_until, without_reconnects},
};

/// The number of entries that a list reads in one step.
const STEP: u64 = 512;

/// The number of walks of one workspace that can run and wait at a time.
const ADMITTED: usize = 2 + 32;

/// Runs the futures of a test.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
}

fn expired() -> ListKeys<KeyId> {
    ListKeys::new().with_status(Status::Expired)
}

async fn list(store: &RedisStore, list: &ListKeys<KeyId>) -> Result<Page<KeyId>, StoreError> {
    list_in(store, &sample::workspace(), list).await
}

async fn list_in(
    store: &RedisStore,
    workspace: &Workspace,
    list: &ListKeys<KeyId>,
) -> Result<Page<KeyId>, StoreError> {
    let environment = Environment::Live;
    store
        .list(workspace, environment, list, sample::now())
        .await
}

/// Adds entries without a record to the index.
fn fill_index(server: &Server, count: u64) {
    let mut fill = redis::cmd("EVAL");
    fill.arg(
        "for n = 1, ARGV[1] do \
             redis.call('ZADD', KEYS[1], 0, string.format('0U4%013d', n)) \
         end",
    )
    .arg(1)
    .arg(names::INDEX)
    .arg(count);
    let () = fill.query(&mut server.redis()).unwrap();
}

/// Polls a future until a condition is true, and drops it. Returns `None` if the future becomes
/// ready first.
fn drop_when(future: impl Future, mut condition: impl FnMut() -> bool) -> Option<()> {
    let condition = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    runtime().block_on(async {
        tokio::select! {
            _ = future => None,
            () = condition => Some(()),
        }
    })
}

#[test]
fn a_list_ends_when_its_future_is_dropped() {
    const STEPS: u64 = 20;
    const CLIENTS: usize = 8;
    let server = Server::start();
    let store = server.store();
    // A list of all keys takes this many steps. The last step finds nothing.
    fill_index(&server, (STEPS - 1) * STEP);
    wait_until("dropped lists take few steps", || {
        let before = calls(&server, "zrange");
        for _ in 0..CLIENTS {
            let dropped = drop_when(list(&store, &expired()), || {
                calls(&server, "zrange") > before
            });
            if dropped.is_none() {
                return false;
            }
        }
        // If the other lists continued, they would end before this one.
        block_on(list(&store, &expired())).unwrap();
        let steps = calls(&server, "zrange") - before;
        println!("{steps} steps, {STEPS} of them for the client that waits");
        steps < 3 * STEPS
    });
}

#[test]
fn a_list_with_a_filter_reads_a_bounded_number_of_keys() {
    const LIMIT: u64 = 10;
    const KEYS: u64 = 35;
    let server = Server::start();
    let store = connect(server.config().with_list_limit(10));
    let mut expected: Vec<KeyId> = (0..KEYS)
        .map(|number| {
            let mut record = sample::record();
            if number % 3 == 0 {
                record.key.expires_at = Timestamp::from_millis(1).ok();
            }
            insert(&store, record).key
        })
        .filter(|key| key.expires_at.is_some())
        .map(|key| key.id)
        .collect();
    expected.reverse();

    let mut wanted = expired();
    let mut found = Vec::new();
    loop {
        let before = calls(&server, "mget");
        let page = block_on(list(&store, &wanted)).unwrap();
        // A retry reads a key again.
        assert!(page.keys.len() as u64 <= LIMIT);
        assert!(calls(&server, "mget") - before <= 2 * LIMIT);
        assert_eq!(page.total, None);
        found.extend(page.keys.iter().map(|key| key.id));
        let Some(next) = page.next else { break };
        wanted = wanted.with_start(ListStart::After(next));
    }
    assert_eq!(found, expected);

    // A workspace within the limit has a total.
    let whole = connect(server.config().with_list_limit(36));
    let page = block_on(list(&whole, &expired())).unwrap();
    assert_eq!(page.total, Some(expected.len() as u64));
    // So has a list without a filter, which need not read all keys.
    let page = block_on(list(&store, &ListKeys::new().with_limit(5))).unwrap();
    assert_eq!((page.keys.len(), page.total), (5, Some(KEYS)));
}

#[test]
fn lists_of_one_workspace_wait_or_are_rejected_and_those_of_others_are_not() {
    const LISTS: usize = ADMITTED + 20;
    let server = Server::start();
    let store = Arc::new(connect(server.config().with_deadline(2 * PATIENCE)));
    let record = insert(&store, sample::record());
    // No list ends while the server is stopped.
    server.pause();
    runtime().block_on(async {
        let mut lists = JoinSet::new();
        for _ in 0..LISTS {
            let store = Arc::clone(&store);
            lists.spawn(async move { list(&store, &expired()).await });
        }
        for _ in 0..LISTS - ADMITTED {
            let rejected = lists.join_next().await.unwrap().unwrap().unwrap_err();
            assert_eq!(rejected.kind(), StoreErrorKind::Unavailable);
            assert!(chain(&rejected).contains("retry later"), "{rejected:?}");
        }
        let others = Arc::clone(&store);
        lists.spawn(async move {
            let workspace = Workspace::parse("other").unwrap();
            list_in(&others, &workspace, &expired()).await
        });
        tokio::task::yield_now().await;
        server.resume();
        let mut listed = 0;
        while let Some(result) = lists.join_next().await {
            result.unwrap().unwrap();
            listed += 1;
        }
        assert_eq!(listed, ADMITTED + 1);
    });
    assert!(find(&store, &record.key.id).is_some());
}

#[test]
fn lists_cascades_and_purges_share_no_connection_with_verifications() {
    const READS: &[&str] = &["mget", "getex", "get"];
    let server = Server::start();
    let store = server.store();
    // Checks the last commands on the connections for verifications and for walks.
    let check = |verifications: &[&str], walks: &[&str]| {
        let last = server.last_commands();
        match &*last {
            [first, second] if verifications.contains(&&**first) && walks.contains(&&**second) => {
                Ok(())
            }
            _ => Err(format!(
                "{last:?} instead of {verifications:?} and {walks:?}"
            )),
        }
    };
    without_reconnects(&server, || {
        let root = insert(&store, sample::record());
        insert(&store, sample::child_of(&root));
        find(&store, &root.key.id);
        let nowhere = Workspace::parse("other").unwrap();
        block_on(list_in(&store, &nowhere, &ListKeys::new())).unwrap();
        check(READS, &["zcard"])?;
        assert_eq!(revoke_all(&store, &root), 2);
        check(&["evalsha", "eval"], &["smembers"])?;
        find(&store, &root.key.id);
        check(READS, &["smembers"])?;
        let purge = Purge::new(10).with_revoked_before(Timestamp::from_millis(1).unwrap());
        for purge in [purge.clone().with_workspace(nowhere), purge] {
            assert_eq!(block_on(store.purge(&purge)).unwrap(), 0);
            check(READS, &["zrange", "scan", "get"])?;
        }
        block_on(list(&store, &expired())).unwrap();
        check(READS, READS)
    });
}

#[test]
fn a_purge_ends_when_its_future_is_dropped() {
    const KEYS: u64 = 3 * STEP;
    let server = Server::start();
    let store = server.store();
    let purge = Purge::new(u32::MAX)
        .with_revoked_before(Timestamp::MAX)
        .with_workspace(sample::workspace());
    wait_until("a dropped purge reads few keys", || {
        fill_index(&server, KEYS);
        let before = calls(&server, "get");
        let dropped = drop_when(store.purge(&purge), || calls(&server, "get") > before);
        if dropped.is_none() {
            return false;
        }
        // Another purge waits for at most one of the two that run at a time.
        block_on(store.purge(&purge)).unwrap();
        let reads = calls(&server, "get") - before;
        println!("{reads} reads, {KEYS} of them for the client that waits");
        reads < KEYS * 3 / 2
    });
}
