//! The store as the source of a copy.

use std::sync::Arc;

use keywright_core::{
    IssueError, KeyId, Timestamp,
    store::{KeyStore as _, Reservation, Stage, StoreErrorKind, Transfer as _},
};
use keywright_store_postgres::{PostgresStore, migrate};
use sqlx::{AssertSqlSafe, PgPool};

use crate::{
    sample::{create, eventually, is_accepted, new_key, open, operator},
    schema::Schema,
};

/// Returns how many transactions wait for a lock of the settings.
async fn waiting(schema: &Schema, pool: &PgPool) -> i64 {
    let sql = format!(
        "SELECT count(*) FROM pg_locks WHERE NOT granted \
         AND relation = '{}.settings'::regclass",
        schema.name
    );
    let waiting = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(pool);
    waiting.await.unwrap()
}

/// A seal during an open transaction of the host would miss the key that it inserts.
#[tokio::test(flavor = "multi_thread")]
async fn a_seal_waits_for_an_open_transaction_of_the_host_and_the_next_one_is_rejected() {
    let schema = Schema::new().await;
    let store = schema.store().await;
    let other = schema.store().await;
    let keys = open(&store).await;
    let before = create(&keys).await;
    let Stage::Open(prefix) = store.stage().await.unwrap() else {
        panic!("the store is claimed");
    };
    let (opened, sealed) = (Stage::Open(prefix.clone()), Stage::Sealed(prefix));

    let pool = schema.pool(2).await;
    let prepared = keys.issuer().prepare(&operator(), new_key()).await.unwrap();
    let id = prepared.key().id;
    let mut transaction = pool.begin().await.unwrap();
    store.insert_in(&mut transaction, &prepared).await.unwrap();
    let sealing = tokio::spawn({
        let (opened, sealed) = (opened.clone(), sealed.clone());
        async move {
            // It gives up after some seconds, and so may have to be repeated.
            while other.set_stage(&opened, &sealed).await.is_err() {}
        }
    });
    eventually("the seal waits", || async {
        waiting(&schema, &pool).await > 0
    })
    .await;
    transaction.commit().await.unwrap();
    sealing.await.unwrap();
    let issued = keys.issuer().committed(prepared);
    assert!(store.find(&id).await.unwrap().is_some());

    // Changes are rejected, by the store and in a transaction of the host. Verifications go on.
    let error = keys.issuer().create(&operator(), new_key()).await.err();
    let Some(IssueError::Store(error)) = error else {
        panic!("the store rejects the key: {error:?}");
    };
    assert_eq!(error.kind(), StoreErrorKind::Moved);
    let prepared = keys.issuer().prepare(&operator(), new_key()).await.unwrap();
    let mut transaction = pool.begin().await.unwrap();
    let error = store.insert_in(&mut transaction, &prepared).await;
    assert_eq!(error.unwrap_err().kind(), StoreErrorKind::Moved);
    drop(transaction);
    for token in [&before.token, &issued.token] {
        assert_eq!(is_accepted(&keys, token).await, Some(true));
    }
    let reopened = open(&schema.store().await).await;
    assert_eq!(is_accepted(&reopened, &before.token).await, Some(true));

    store.set_stage(&sealed, &opened).await.unwrap();
    create(&keys).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_store_rejects_changes_and_keeps_its_connections() {
    let schema = Schema::new().await;
    let pool = schema.pool(1).await;
    let store = PostgresStore::with_config(pool.clone(), schema.config.clone()).await;
    let store = Arc::new(store.unwrap());
    let issued = create(&open(&store).await).await;
    let Stage::Open(prefix) = store.stage().await.unwrap() else {
        panic!("the store is claimed");
    };
    let opened = Stage::Open(prefix.clone());
    let sealed = Stage::Sealed(prefix);
    store.set_stage(&opened, &sealed).await.unwrap();

    let process = async || -> i32 {
        let pid = sqlx::query_scalar("SELECT pg_backend_pid()");
        pid.fetch_one(&pool).await.unwrap()
    };
    let before = process().await;
    let id: KeyId = issued.key.id;
    let time = Timestamp::from_millis(1).unwrap();
    for _ in 0..3 {
        let touched = store.touch(&[(id, time)]).await;
        assert_eq!(touched.unwrap_err().kind(), StoreErrorKind::Moved);
        let reservation = Reservation::new([1; 32], [2; 32], id, time);
        let reserved = store.reserve(&reservation, time).await;
        assert_eq!(reserved.unwrap_err().kind(), StoreErrorKind::Moved);
    }
    assert_eq!(process().await, before);
}

/// A poll of a feed reads the settings. If it waited as long as the seal, the leases of all servers
/// would lapse.
#[tokio::test(flavor = "multi_thread")]
async fn a_seal_that_waits_for_a_transaction_lets_others_read_the_settings() {
    let schema = Schema::new().await;
    let store = schema.store().await;
    let keys = open(&store).await;
    create(&keys).await;
    let Stage::Open(prefix) = store.stage().await.unwrap() else {
        panic!("the store is claimed");
    };
    let pool = schema.pool(2).await;
    let prepared = keys.issuer().prepare(&operator(), new_key()).await.unwrap();
    let mut transaction = pool.begin().await.unwrap();
    store.insert_in(&mut transaction, &prepared).await.unwrap();
    let sealing = tokio::spawn(async move {
        let (opened, sealed) = (Stage::Open(prefix.clone()), Stage::Sealed(prefix));
        store.set_stage(&opened, &sealed).await
    });
    let read = format!(
        "BEGIN; SET LOCAL lock_timeout = '2s'; SELECT FROM {}.settings; COMMIT",
        schema.name
    );
    let mut reads = 0;
    while !sealing.is_finished() {
        if waiting(&schema, &pool).await > 0 {
            let sql = AssertSqlSafe(read.clone());
            sqlx::raw_sql(sql).execute(&pool).await.unwrap();
            reads += 1;
        }
    }
    assert!(reads > 0);
    // It gives up after some seconds.
    let error = sealing.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    // There is nothing to migrate, so this does not wait.
    migrate(&pool, &schema.config).await.unwrap();
    transaction.rollback().await.unwrap();
}
