//! Work of one workspace does not delay that of another, and verification waits for neither.

use std::{
    collections::BTreeSet,
    error::Error as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_executor::block_on;
use keywright_core::{
    Caller, Environment, EventId, IssueError, KeyId, ListEvents, Reach, Workspace,
    store::{KeyStore as _, Reservation, Reserved, StoreError, StoreErrorKind},
};
use keywright_store_postgres::PostgresStore;
use sqlx::{AssertSqlSafe, PgPool};

use crate::{
    sample::{create, eventually, is_accepted, new_key, open, operator, workspace},
    schema::{Schema, id_text},
};

/// Locks a table in a transaction of its own until the pool is closed.
async fn lock_table(schema: &Schema, table: &str) -> PgPool {
    let pool = schema.pool(1).await;
    let lock = format!(
        "BEGIN; LOCK TABLE {}.{table} IN ACCESS EXCLUSIVE MODE",
        schema.name
    );
    let mut connection = pool.acquire().await.unwrap().detach();
    sqlx::raw_sql(AssertSqlSafe(lock))
        .execute(&mut connection)
        .await
        .unwrap();
    let (unlock, closed) = (pool.clone(), pool.close_event());
    tokio::spawn(async move {
        closed.await;
        drop((connection, unlock));
    });
    pool
}

fn is_queue_full(error: &StoreError) -> bool {
    let source = error.source().map(ToString::to_string);
    source.is_some_and(|source| source.contains("too many operations"))
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_one_workspace_delay_no_find_and_reject_no_list_of_another() {
    let schema = Schema::new().await;
    // Lists take one of the two connections.
    let opened = PostgresStore::with_config(schema.pool(2).await, schema.config.clone()).await;
    let store = Arc::new(opened.unwrap());
    let id = create(&open(&store).await).await.key.id;
    let unlock = lock_table(&schema, "events").await;
    let list = |workspace: Workspace| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let all = ListEvents::<EventId>::new();
            store.events(&workspace, Environment::Live, &all).await
        })
    };
    let busy: Vec<_> = (0..80).map(|_| list(workspace())).collect();
    // At most one list is running, and 64 are waiting.
    eventually("the rejected lists", async || {
        busy.iter().filter(|list| list.is_finished()).count() >= 15
    })
    .await;
    let other = list(Workspace::parse("other").unwrap());
    for _ in 0..100 {
        assert!(store.find(&id).await.unwrap().is_some());
    }
    assert!(!other.is_finished());
    unlock.close().await;
    assert!(other.await.unwrap().is_ok());
    let mut rejected = 0;
    for list in busy {
        match list.await.unwrap() {
            Ok(page) => assert_eq!(page.events.len(), 1),
            Err(error) => {
                assert!(is_queue_full(&error), "{error:?}");
                rejected += 1;
            }
        }
    }
    assert!((15..=16).contains(&rejected), "{rejected}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bug_a_key_that_the_host_had_locked_stopped_all_changes() {
    let schema = Schema::new().await;
    let store = schema.store().await;
    let keys = open(&store).await;
    let other = Caller::operator(Workspace::parse("other").unwrap());
    let locked = create(&keys).await;
    let id = locked.key.id;
    let prepared = keys
        .issuer()
        .prepare_revocation(&operator(), &id, Reach::Key)
        .await
        .unwrap();
    let pool = schema.pool(1).await;
    let mut transaction = pool.begin().await.unwrap();
    store.revoke_in(&mut transaction, &prepared).await.unwrap();
    // These wait for the host, outside of the batches.
    let waiting = |reach| {
        let keys = keys.clone();
        tokio::spawn(async move { keys.issuer().revoke(&operator(), &id, reach).await })
    };
    let waiting: Vec<_> = [Reach::Key, Reach::Descendants, Reach::Key]
        .map(waiting)
        .into();
    for caller in [operator(), other] {
        for _ in 0..5 {
            let issued = keys.issuer().create(&caller, new_key()).await.unwrap();
            keys.issuer()
                .revoke(&caller, &issued.key.id, Reach::Key)
                .await
                .unwrap();
        }
    }
    assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
    transaction.rollback().await.unwrap();
    // One of them revokes the key, and the others find it revoked.
    let mut changed = 0;
    for waiting in waiting {
        match waiting.await.unwrap() {
            Ok(revocation) => changed += revocation.count,
            Err(error) => assert!(matches!(error, IssueError::NotFound), "{error:?}"),
        }
    }
    assert_eq!(changed, 1);
    assert_eq!(is_accepted(&keys, &locked.token).await, Some(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn bug_a_reservation_failed_if_it_waited_for_another_transaction() {
    let schema = Schema::new().await;
    let store = schema.store().await;
    let id = create(&open(&store).await).await.key.id;
    let lock = lock_table(&schema, "reservations").await;
    let until = now().saturating_add(Duration::from_secs(60));
    let reservation = Reservation::new([1; 32], [2; 32], id, until);
    let reserving = Arc::clone(&store);
    let waiting = tokio::spawn(async move { reserving.reserve(&reservation, now()).await });
    let attempts = format!(
        "SELECT xact_start::text FROM pg_stat_activity \
         WHERE wait_event_type = 'Lock' AND query LIKE '%{}%reservations%'",
        schema.name
    );
    let pool = schema.pool(1).await;
    let seen = Mutex::new(BTreeSet::new());
    // The first transaction fails after it has waited for the lock, and the next one waits again.
    eventually("a second attempt", || async {
        let attempts = sqlx::query_scalar::<_, String>(AssertSqlSafe(attempts.clone()));
        let attempts = attempts.fetch_all(&pool).await.unwrap();
        let mut seen = seen.lock().unwrap();
        seen.extend(attempts);
        seen.len() == 2 || waiting.is_finished()
    })
    .await;
    assert!(!waiting.is_finished());
    lock.close().await;
    assert_eq!(waiting.await.unwrap().unwrap(), Reserved::New);
}

/// Inserts lock the parent in shared mode. One insert after another must not keep a revocation from
/// its lock.
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_created_all_the_time_do_not_keep_their_parent_from_being_revoked() {
    for reach in [Reach::Key, Reach::Descendants] {
        let schema = Schema::new().await;
        let stores = [schema.store().await, schema.store().await];
        let keys = open(&stores[0]).await;
        let parent = create(&keys).await;
        let parent_id = parent.key.id;
        let template = stores[0].find(&parent_id).await.unwrap().unwrap();
        let creators: Vec<_> = (0..64_u32)
            .map(|creator| {
                let store = Arc::clone(&stores[creator as usize % 2]);
                let (mut child, now) = (template.clone(), parent.key.created_at());
                tokio::spawn(async move {
                    let mut created = 0_u32;
                    loop {
                        let id = format!("key_1000{creator:04}{created:08}");
                        child.key.id = KeyId::parse(&id).unwrap();
                        child.key.parent = Some(parent_id);
                        if store.insert(&child, now, None).await.is_err() {
                            return created;
                        }
                        created += 1;
                    }
                })
            })
            .collect();
        eventually("children", async || schema.count("keys").await > 500).await;
        keys.issuer()
            .revoke(&operator(), &parent.key.id, reach)
            .await
            .unwrap();
        let mut created = 0;
        for creator in creators {
            created += i64::from(creator.await.unwrap());
        }
        assert_eq!(schema.count("keys").await, created + 1);
        if reach == Reach::Descendants {
            let active = schema.count("keys WHERE revoked_at IS NULL").await;
            assert_eq!(active, 0, "of {created} children");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_descendants_are_revoked_in_one_step() {
    // The last thousand are children of other children.
    revoke_ten_thousand_descendants(|root| {
        format!(
            "CASE WHEN n <= 9000 THEN '{root}' \
             ELSE '0U5lKt' || lpad((n - 9000)::text, 10, '0') END"
        )
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_ten_thousand_descendants_is_revoked_in_one_step() {
    revoke_ten_thousand_descendants(|root| {
        format!("CASE WHEN n = 1 THEN '{root}' ELSE '0U5lKt' || lpad((n - 1)::text, 10, '0') END")
    })
    .await;
}

/// Revokes a key and 10,000 descendants. `parent` returns the SQL of the parent of the descendant
/// `n`, from the id of the key.
async fn revoke_ten_thousand_descendants(parent: impl FnOnce(&str) -> String) {
    let schema = Schema::new().await;
    let store = schema.store().await;
    let keys = open(&store).await;
    let root = create(&keys).await.key.id;
    let parent = format!("'parent', {}", parent(&id_text(&root)));
    schema.add_copies(&root, 10_000, &parent).await;
    // The store waits ten seconds for a transaction. A slow machine can take longer, and then the
    // transaction is committed or not, as a whole.
    let mut counts = vec![10_001];
    let revoked = loop {
        let reach = Reach::Descendants;
        match keys.issuer().revoke(&operator(), &root, reach).await {
            Err(IssueError::Store(error)) if error.kind() == StoreErrorKind::Unavailable => {
                assert!(counts.len() < 20, "{error:?}");
                counts.push(0);
            }
            revoked => break revoked.unwrap(),
        }
    };
    assert!(counts.contains(&revoked.count), "{revoked:?}");
    assert_eq!(schema.count("keys WHERE revoked_at IS NULL").await, 0);
}

#[test]
fn a_store_whose_runtime_has_ended_is_an_error_and_waits_for_nothing() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (store, _schema) = runtime.block_on(async {
        let schema = Schema::new().await;
        (schema.store().await, schema)
    });
    let id = KeyId::parse("key_0U5lKtf600000000").unwrap();
    runtime.block_on(async { store.find(&id).await }).unwrap();
    drop(runtime);
    assert!(block_on(store.find(&id)).is_err());
    assert!(block_on(store.ping()).is_err());
    assert!(block_on(store.revoke(&workspace(), &id, Reach::Key, now(), None)).is_err());
}

fn now() -> keywright_core::Timestamp {
    keywright_core::Timestamp::from_millis(1_700_000_000_000).unwrap()
}
