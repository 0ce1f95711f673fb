//! Changes in a transaction of the host.

use std::{sync::Arc, time::Duration};

use keywright_core::{
    Caller, Config, EventKind, Expiry, KeyUpdate, Keywright, ListEvents, Prefix, Reach, Scheme,
    Timestamp, Token,
    store::{KeyStore, StoreError, StoreErrorKind},
    testing::ManualClock,
};
use keywright_store_postgres::{PostgresStore, migrate};
use sqlx::{Connection as _, PgPool};

use crate::{
    sample::{
        create, eventually, execute, is_accepted, is_unknown, new_key, open, operator, revoke,
    },
    schema::{Schema, id_text},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_exists_after_the_commit_of_the_host_and_not_before() {
    let schema = Schema::new().await;
    schema
        .execute("CREATE TABLE {schema}.users (name text)")
        .await;
    let store = schema.store().await;
    let keys = open(&store).await;
    let pool = schema.pool(1).await;

    let prepared = keys.issuer().prepare(&operator(), new_key()).await.unwrap();
    let id = prepared.key().id;
    let mut transaction = pool.begin().await.unwrap();
    let insert_user = format!("INSERT INTO {}.users VALUES ('anna')", schema.name);
    sqlx::raw_sql(sqlx::AssertSqlSafe(insert_user))
        .execute(&mut *transaction)
        .await
        .unwrap();
    store.insert_in(&mut transaction, &prepared).await.unwrap();
    assert!(keys.issuer().find(&operator(), &id).await.is_err());
    transaction.commit().await.unwrap();
    let issued = keys.issuer().committed(prepared);
    assert_eq!(is_accepted(&keys, &issued.token).await, Some(true));

    let list = ListEvents::new().with_key(id);
    let events = keys
        .issuer()
        .events(&operator(), list)
        .await
        .unwrap()
        .events;
    assert_eq!(events.len(), 1);
    assert_eq!(events.first().unwrap().kind, EventKind::Created);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolled_back_key_never_exists() {
    let schema = Schema::new().await;
    let store = schema.store().await;
    let other = schema.store().await;
    let (keys, others) = (open(&store).await, open(&other).await);
    let pool = schema.pool(1).await;
    let prepared = keys.issuer().prepare(&operator(), new_key()).await.unwrap();
    let id = prepared.key().id;
    let mut transaction = pool.begin().await.unwrap();
    store.insert_in(&mut transaction, &prepared).await.unwrap();
    transaction.rollback().await.unwrap();
    // The host must not call this after a rollback. The token is not valid.
    let issued = keys.issuer().committed(prepared);
    for keys in [&keys, &others] {
        assert_eq!(is_accepted(keys, &issued.token).await, Some(false));
        assert!(keys.issuer().find(&operator(), &id).await.is_err());
    }
    let list = ListEvents::new().with_key(id);
    let events = keys
        .issuer()
        .events(&operator(), list)
        .await
        .unwrap()
        .events;
    assert!(events.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_and_a_revocation_in_a_transaction_apply_after_its_commit() {
    let schema = Schema::new().await;
    let store = schema.store().await;
    let other = schema.store().await;
    let (keys, others) = (open(&store).await, open(&other).await);
    let pool = schema.pool(1).await;
    let mut connection = pool.acquire().await.unwrap();
    let issued = create(&keys).await;
    for keys in [&keys, &others] {
        assert_eq!(is_accepted(keys, &issued.token).await, Some(true));
    }
    let pause = KeyUpdate::new().with_enabled(false);
    let prepared = keys
        .issuer()
        .prepare_update(&operator(), &issued.key.id, &pause)
        .await
        .unwrap();
    let mut transaction = connection.begin().await.unwrap();
    store.update_in(&mut transaction, &prepared).await.unwrap();
    assert_eq!(is_accepted(&keys, &issued.token).await, Some(true));
    transaction.commit().await.unwrap();
    keys.issuer().committed_update(&prepared);
    assert_eq!(is_accepted(&keys, &issued.token).await, Some(false));
    eventually("the pause", async || {
        is_accepted(&others, &issued.token).await == Some(false)
    })
    .await;

    // The version has changed since it was prepared.
    let mut transaction = connection.begin().await.unwrap();
    let conflict = store.update_in(&mut transaction, &prepared).await;
    assert_eq!(conflict.unwrap_err().kind(), StoreErrorKind::Conflict);
    transaction.rollback().await.unwrap();

    for reach in [Reach::Key, Reach::Descendants] {
        let issued = create(&keys).await;
        assert_eq!(is_accepted(&others, &issued.token).await, Some(true));
        let prepared = keys
            .issuer()
            .prepare_revocation(&operator(), &issued.key.id, reach)
            .await
            .unwrap();
        let mut transaction = connection.begin().await.unwrap();
        let revocation = store.revoke_in(&mut transaction, &prepared).await.unwrap();
        assert_eq!(revocation.count, 1);
        transaction.commit().await.unwrap();
        // Without a report, the change comes through the feed.
        eventually("the revocation", async || {
            is_accepted(&others, &issued.token).await == Some(false)
        })
        .await;
        keys.issuer().committed_revocation(prepared, revocation);
        assert_eq!(is_accepted(&keys, &issued.token).await, Some(false));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_of_the_host_delays_only_the_keys_that_it_has_changed() {
    let schema = Schema::new().await;
    let keys = open(&schema.store().await).await;
    let other = open(&schema.store().await).await;
    let pool = schema.pool(1).await;
    let locked = create(&keys).await;
    let prepared = keys
        .issuer()
        .prepare_revocation(&operator(), &locked.key.id, Reach::Key)
        .await
        .unwrap();
    let mut transaction = pool.begin().await.unwrap();
    let store = schema.store().await;
    store.revoke_in(&mut transaction, &prepared).await.unwrap();

    // Changes of the locked key wait, and then fail. They do not delay the changes of other keys,
    // even of those that arrive together with them, nor the feed.
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let issued = create(&keys).await;
        assert_eq!(is_accepted(&other, &issued.token).await, Some(true));
        let (waits, id) = (keys.clone(), locked.key.id);
        waiting.push(tokio::spawn(async move { revoke(&waits, &id).await }));
        revoke(&keys, &issued.key.id).await.unwrap();
        eventually("the revocation", async || {
            is_accepted(&other, &issued.token).await == Some(false)
        })
        .await;
        assert_eq!(is_accepted(&keys, &locked.token).await, Some(true));
    }
    for revocation in waiting {
        let revocation = revocation.await.unwrap();
        assert!(is_unknown(&revocation), "{revocation:?}");
    }
    transaction.rollback().await.unwrap();
    assert_eq!(is_accepted(&keys, &locked.token).await, Some(true));
    revoke(&keys, &locked.key.id).await.unwrap();
    assert_eq!(is_accepted(&keys, &locked.token).await, Some(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_suitable_transaction_is_an_error_and_writes_nothing() {
    let schema = Schema::new().await;
    let store = schema.store().await;
    let keys = open(&store).await;
    let prepared = keys.issuer().prepare(&operator(), new_key()).await.unwrap();
    let mut connection = schema.pool(1).await.acquire().await.unwrap().detach();
    let error = store.insert_in(&mut connection, &prepared).await;
    assert_eq!(error.unwrap_err().kind(), StoreErrorKind::Unavailable);
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        let mut transaction = connection.begin().await.unwrap();
        let set = format!("SET TRANSACTION ISOLATION LEVEL {level}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(set))
            .execute(&mut *transaction)
            .await
            .unwrap();
        let error = store.insert_in(&mut transaction, &prepared).await;
        let source = std::error::Error::source(&error.unwrap_err())
            .map(ToString::to_string)
            .unwrap();
        assert!(source.contains("READ COMMITTED"), "{source}");
        // The host can still use its transaction.
        sqlx::raw_sql("SELECT 1")
            .execute(&mut *transaction)
            .await
            .unwrap();
        transaction.rollback().await.unwrap();
    }
    assert_eq!(schema.count("keys").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_another_database_is_an_error_and_writes_nothing() {
    let schema = Schema::new().await;
    let store = schema.store().await;
    let keys = open(&store).await;
    let prepared = keys.issuer().prepare(&operator(), new_key()).await.unwrap();
    let name = format!("other_{}", schema.name);
    let pool = schema.pool(1).await;
    execute(&pool, format!("CREATE DATABASE {name}")).await;
    let options = (*pool.connect_options()).clone().database(&name);
    let other = PgPool::connect_with(options).await.unwrap();
    // Without tables, and with those of another store.
    for has_tables in [false, true] {
        if has_tables {
            migrate(&other, &schema.config).await.unwrap();
        }
        let mut transaction = other.begin().await.unwrap();
        let error = store.insert_in(&mut transaction, &prepared).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("another database"), "{source}");
        transaction.rollback().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stronger_synchronous_commit_of_the_host_is_kept() {
    let schema = Schema::new().await;
    let store = schema.store().await;
    let keys = open(&store).await;
    let pool = schema.pool(1).await;
    for (host, expected) in [
        ("off", "on"),
        ("local", "on"),
        ("remote_apply", "remote_apply"),
    ] {
        let prepared = keys.issuer().prepare(&operator(), new_key()).await.unwrap();
        let mut transaction = pool.begin().await.unwrap();
        let set = format!("SET LOCAL synchronous_commit = {host}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(set))
            .execute(&mut *transaction)
            .await
            .unwrap();
        store.insert_in(&mut transaction, &prepared).await.unwrap();
        let found: String = sqlx::query_scalar("SHOW synchronous_commit")
            .fetch_one(&mut *transaction)
            .await
            .unwrap();
        assert_eq!(found, expected);
        transaction.rollback().await.unwrap();
    }
}

async fn caller(keys: &Keywright, token: &Token) -> Caller {
    let verified = keys.verifier().verify(token.expose().as_bytes()).await;
    verified.unwrap().caller()
}

/// Prepares each kind of change for a caller, lets something happen to the caller, and returns the
/// results of the changes in a transaction each, which is rolled back.
async fn change_after(
    keys: &Keywright,
    store: &PostgresStore,
    pool: &PgPool,
    caller: &Caller,
    happens: impl AsyncFnOnce(),
) -> [Result<(), StoreError>; 4] {
    let issuer = keys.issuer();
    let target = create(keys).await.key.id;
    let key = issuer.prepare(caller, new_key()).await.unwrap();
    let pause = KeyUpdate::new().with_enabled(false);
    let update = issuer
        .prepare_update(caller, &target, &pause)
        .await
        .unwrap();
    let alone = issuer
        .prepare_revocation(caller, &target, Reach::Key)
        .await
        .unwrap();
    let all = issuer
        .prepare_revocation(caller, &target, Reach::Descendants)
        .await
        .unwrap();
    happens().await;
    let mut transaction = pool.begin().await.unwrap();
    let inserted = store.insert_in(&mut transaction, &key).await;
    let updated = store.update_in(&mut transaction, &update).await.map(drop);
    let revoked = store.revoke_in(&mut transaction, &alone).await.map(drop);
    transaction.rollback().await.unwrap();
    let mut transaction = pool.begin().await.unwrap();
    let cascade = store.revoke_in(&mut transaction, &all).await.map(drop);
    [inserted, updated, revoked, cascade]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_can_do_less_than_when_a_change_was_prepared_does_not_make_it() {
    let schema = Schema::new().await;
    let store = schema.store().await;
    let clock = ManualClock::new(Timestamp::parse("2030-01-01T00:00:00Z").unwrap());
    let config = Config::new(Prefix::parse("acme").unwrap())
        .with_scheme(Scheme::HmacSha256)
        .with_clock(clock.clone());
    let opened = Keywright::open(config, Arc::clone(&store) as Arc<dyn KeyStore>).await;
    let keys = opened.unwrap();
    let pool = schema.pool(1).await;
    let hour = Duration::from_secs(60 * 60);

    let unchanged = caller(&keys, &create(&keys).await.token).await;
    let results = change_after(&keys, &store, &pool, &unchanged, async || {}).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");

    let update = |update: KeyUpdate| {
        let keys = keys.clone();
        async move |id| {
            keys.issuer()
                .update(&operator(), &id, &update)
                .await
                .unwrap();
        }
    };
    let pause = update(KeyUpdate::new().with_enabled(false));
    let narrow = update(KeyUpdate::new().with_permissions("api_keys:*".parse().unwrap()));
    let ends = Timestamp::parse("2030-01-01T01:00:00Z").unwrap();
    for way in 0..4 {
        let issued = if way == 3 {
            let ending = new_key().with_expiry(Expiry::At(ends));
            keys.issuer().create(&operator(), ending).await.unwrap()
        } else {
            create(&keys).await
        };
        let (id, caller) = (issued.key.id, caller(&keys, &issued.token).await);
        let results = change_after(&keys, &store, &pool, &caller, async || match way {
            0 => drop(revoke(&keys, &id).await.unwrap()),
            1 => pause(id).await,
            2 => narrow(id).await,
            _ => clock.advance(hour),
        })
        .await;
        for result in results {
            let kind = result.map_err(|error| error.kind());
            assert_eq!(kind, Err(StoreErrorKind::Conflict), "{way}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_of_a_change_is_not_revoked_until_the_host_ends_its_transaction() {
    let schema = Schema::new().await;
    let store = schema.store().await;
    let keys = open(&store).await;
    let pool = schema.pool(2).await;
    for reach in [Reach::Key, Reach::Descendants] {
        let (issued, target) = (create(&keys).await, create(&keys).await);
        let caller = caller(&keys, &issued.token).await;
        let prepared = keys
            .issuer()
            .prepare_revocation(&caller, &target.key.id, reach)
            .await
            .unwrap();
        let mut transaction = pool.begin().await.unwrap();
        store.revoke_in(&mut transaction, &prepared).await.unwrap();
        let lock = format!(
            "SELECT FROM {}.keys WHERE id = '{}' FOR UPDATE NOWAIT",
            schema.name,
            id_text(&issued.key.id)
        );
        let locked = sqlx::raw_sql(sqlx::AssertSqlSafe(lock))
            .execute(&pool)
            .await;
        let error = locked.unwrap_err();
        let code = error.as_database_error().and_then(|error| error.code());
        assert_eq!(code.as_deref(), Some("55P03"));
        transaction.rollback().await.unwrap();
    }
}
