//! Opening a store: migrations, versions, roles and servers that cannot be used.

use std::sync::Arc;

use keywright_core::{ListKeys, Reach, store::KeyStore as _};
use keywright_store_postgres::{OpenError, PostgresConfig, PostgresStore, migrate, migration_sql};
use sqlx::{AssertSqlSafe, PgPool};

use crate::{
    cluster::Cluster,
    proxy::Proxy,
    sample::{
        create, eventually, execute, is_accepted, is_unknown, migrated, new_key, open, operator,
        revoke, store_at,
    },
    schema::Schema,
};

async fn open_error(schema: &Schema) -> OpenError {
    PostgresStore::with_config(schema.pool(2).await, schema.config.clone())
        .await
        .unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_without_tables_is_named_with_the_way_out() {
    let error = open_error(&Schema::empty()).await;
    assert!(matches!(error, OpenError::NotMigrated { .. }));
    assert!(error.to_string().contains("keywright migrate"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn older_and_newer_tables_are_rejected() {
    let schema = Schema::new().await;
    let set = "UPDATE {schema}.settings SET value = '{value}' WHERE name = 'version'";
    schema.execute(&set.replace("{value}", "0")).await;
    let older = open_error(&schema).await;
    assert!(matches!(older, OpenError::OlderSchema { found: 0, .. }));
    schema.execute(&set.replace("{value}", "99")).await;
    let newer = open_error(&schema).await;
    assert!(matches!(newer, OpenError::NewerSchema { found: 99, .. }));
    let pool = schema.pool(1).await;
    let migrated = migrate(&pool, &schema.config).await;
    assert!(matches!(migrated, Err(OpenError::NewerSchema { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_program_does_not_write_after_a_newer_one_has_migrated() {
    let schema = Schema::new().await;
    let pool = schema.pool(1).await;
    let opened = PostgresStore::with_config(pool.clone(), schema.config.clone()).await;
    let store = Arc::new(opened.unwrap());
    let keys = open(&store).await;
    let issued = create(&keys).await;
    schema
        .execute("UPDATE {schema}.settings SET value = '99' WHERE name = 'version'")
        .await;
    let revoked = keys
        .issuer()
        .revoke(&operator(), &issued.key.id, Reach::Key)
        .await;
    assert!(revoked.is_err());
    // The host can use the only connection of its pool afterwards.
    sqlx::raw_sql("SELECT 1").execute(&pool).await.unwrap();
    schema
        .execute("UPDATE {schema}.settings SET value = '1' WHERE name = 'version'")
        .await;
    let found = store.find(&issued.key.id).await.unwrap().unwrap();
    assert_eq!(found.key.revoked_at, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_that_migrate_at_once_all_succeed() {
    let schema = Schema::empty();
    let pool = schema.pool(8).await;
    let migrations = (0..8).map(|_| {
        let (pool, config) = (pool.clone(), schema.config.clone());
        tokio::spawn(async move { migrate(&pool, &config).await })
    });
    for migration in migrations.collect::<Vec<_>>() {
        migration.await.unwrap().unwrap();
    }
    create(&open(&schema.store().await).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_migration_makes_a_store() {
    let schema = Schema::empty();
    schema.execute(&migration_sql(&schema.config)).await;
    create(&open(&schema.store().await).await).await;
}

/// The documented privileges, and no others.
const GRANTS: &str = "
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.keys, {schema}.events, {schema}.reservations
    TO {role};
GRANT SELECT, INSERT, DELETE ON {schema}.changes TO {role};
GRANT SELECT, INSERT ON {schema}.settings TO {role};
";

#[tokio::test(flavor = "multi_thread")]
async fn a_role_with_the_documented_privileges_is_enough_and_a_missing_one_is_named() {
    let schema = Schema::new().await;
    let role = format!("role_{}", schema.name);
    let sql = |text: &str| text.replace("{role}", &role);
    schema.execute(&sql("CREATE ROLE {role} LOGIN")).await;
    let url = schema
        .cluster
        .url()
        .replace("keywright@", &format!("{role}@"));
    let connect = || PostgresStore::connect(&url, schema.config.clone());

    let error = connect().await.unwrap_err();
    assert!(matches!(error, OpenError::Privilege { .. }), "{error:?}");
    schema.execute(&sql(GRANTS)).await;
    let keys = open(&Arc::new(connect().await.unwrap())).await;
    let issued = create(&keys).await;
    assert_eq!(is_accepted(&keys, &issued.token).await, Some(true));
    keys.issuer()
        .revoke(&operator(), &issued.key.id, Reach::Descendants)
        .await
        .unwrap();
    keys.issuer().purge(None, None, None).await.unwrap();
    keys.flush().await.unwrap();

    for (privilege, table) in [
        ("DELETE", "changes"),
        ("UPDATE", "keys"),
        ("INSERT", "events"),
    ] {
        let revoke = format!("REVOKE {privilege} ON {{schema}}.{table} FROM {{role}}");
        schema.execute(&sql(&revoke)).await;
        let error = connect().await.unwrap_err().to_string();
        let object = format!("{}.{table}", schema.name);
        assert!(
            error.contains(privilege) && error.contains(&object),
            "{error}"
        );
        let grant = format!("GRANT {privilege} ON {{schema}}.{table} TO {{role}}");
        schema.execute(&sql(&grant)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_with_another_collation_or_encoding_is_used_or_rejected() {
    let schema = Schema::empty();
    schema
        .execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
        .await;
    let url = schema.cluster.url().replace("/postgres", "/latin");
    let error = PostgresStore::connect(&url, PostgresConfig::new())
        .await
        .unwrap_err();
    assert!(matches!(error, OpenError::Encoding { found } if found == "LATIN1"));

    // In this collation, `a` sorts before `B`. The columns have their own.
    schema
        .execute(
            "CREATE DATABASE collated ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en' \
             LOCALE 'C.UTF-8' TEMPLATE template0",
        )
        .await;
    let url = schema.cluster.url().replace("/postgres", "/collated");
    let pool = PgPool::connect(&url).await.unwrap();
    migrate(&pool, &schema.config).await.unwrap();
    let sorted: bool = sqlx::query_scalar("SELECT 'a' < 'B'")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert!(sorted);
    let columns = format!(
        "SELECT bool_and(a.id < b.id) FROM (SELECT 'B' COLLATE \"C\" AS id) AS a, \
         (SELECT 'a' AS id) AS b, {}.keys LIMIT 1",
        schema.name
    );
    sqlx::raw_sql(AssertSqlSafe(columns))
        .execute(&pool)
        .await
        .unwrap();
    let store = PostgresStore::with_config(pool, schema.config.clone())
        .await
        .unwrap();
    create(&open(&Arc::new(store)).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_urls_and_servers_are_distinguished() {
    let config = PostgresConfig::new;
    for (url, expected) in [
        ("mysql://localhost/keys", "invalid URL"),
        ("not a url", "invalid URL"),
        ("postgres://someone@127.0.0.1:1/keys", "could not connect"),
    ] {
        let error = PostgresStore::connect(url, config()).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{url}: {error}");
    }
    let schema = Schema::empty();
    let url = schema.cluster.url();
    for url in [
        url.replace("keywright@", "no_such_role@"),
        url.replace("/postgres", "/no_such_database"),
        format!("{url}?sslmode=require"),
    ] {
        let error = PostgresStore::connect(&url, config()).await.unwrap_err();
        assert!(matches!(error, OpenError::Connect(_)), "{url}: {error:?}");
    }
    for name in [
        "",
        "a-b",
        "Keys",
        "1a",
        "pg_keys",
        "a\"b",
        "information_schema",
    ] {
        assert!(
            matches!(config().with_schema(name), Err(OpenError::Schema)),
            "{name}"
        );
    }
}

/// Returns all that a program may log of an error.
fn logged(error: &OpenError) -> String {
    let mut logged = format!("{error:?}");
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = next {
        logged.push_str(&format!(" {error}"));
        next = error.source();
    }
    logged
}

#[tokio::test(flavor = "multi_thread")]
async fn no_error_contains_the_password() {
    const PASSWORD: &str = "hunter2-hunter2";
    let schema = Schema::new().await;
    schema
        .execute(
            "CREATE ROLE passwords; \
             CREATE ROLE protected LOGIN PASSWORD 'right' IN ROLE passwords SUPERUSER",
        )
        .await;
    let server = schema.cluster.url();
    let url = |user: &str| server.replace("keywright@", &format!("{user}@"));
    let opened = PostgresStore::connect(&url("protected:right"), schema.config.clone()).await;
    assert!(!format!("{:?}", opened.unwrap()).contains("right"));

    let wrong = url(&format!("protected:{PASSWORD}"));
    for url in [
        wrong.clone(),
        format!("{wrong}?sslmode=require"),
        wrong.replace("/postgres", "/no_such_database"),
        wrong.replace("protected", "no_such_role"),
        wrong.replace("postgres://", "mysql://"),
        format!("{wrong}?{PASSWORD}"),
        format!("{wrong}?pass={PASSWORD}"),
        format!("{server}?password={PASSWORD}&user=protected"),
        format!("postgres://protected:{PASSWORD}@127.0.0.1:1/keys"),
        format!("postgres://protected:{PASSWORD}@127.0.0.1:port/keys"),
        format!("postgres://protected:{PASSWORD}/keys"),
        format!("postgres://protected:{PASSWORD}@[/keys"),
        format!("postgres://protected:{PASSWORD}"),
        format!("//protected:{PASSWORD}@127.0.0.1/keys"),
        format!("protected:{PASSWORD}"),
    ] {
        let error = PostgresStore::connect(&url, schema.config.clone()).await;
        let logged = logged(&error.unwrap_err());
        assert!(!logged.contains(PASSWORD), "{url}: {logged}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_rejected() {
    let primary = Cluster::with_options("");
    let pool = migrated(&primary).await;
    let replica = primary.standby();
    let config = PostgresConfig::new();
    let error = PostgresStore::connect(&replica.url(), config.clone())
        .await
        .unwrap_err();
    assert!(matches!(error, OpenError::ReadOnly), "{error:?}");
    assert!(error.to_string().contains("primary"), "{error}");

    // A replica is also rejected by a store whose address leads to it later.
    let proxy = Proxy::start(&primary);
    let keys = open(&store_at(&proxy.url(), 2, &config).await).await;
    let issued = create(&keys).await;
    assert_eq!(is_accepted(&keys, &issued.token).await, Some(true));
    proxy.lead_to(&replica);
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    execute(&pool, end).await;
    eventually("the end of the lease", async || {
        is_accepted(&keys, &issued.token).await.is_none()
    })
    .await;
    let revoked = revoke(&keys, &issued.key.id).await;
    assert!(is_unknown(&revoked), "{revoked:?}");
    proxy.lead_to(&primary);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_may_have_a_reserved_word_as_its_name() {
    let schema = Schema::empty();
    let pool = schema.pool(4).await;
    for name in ["user", "with"] {
        let config = PostgresConfig::new().with_schema(name).unwrap();
        migrate(&pool, &config).await.unwrap();
        let store = PostgresStore::with_config(pool.clone(), config).await;
        let keys = open(&Arc::new(store.unwrap())).await;
        let issued = create(&keys).await;
        assert_eq!(is_accepted(&keys, &issued.token).await, Some(true));
        let list = keys.issuer().list(&operator(), ListKeys::new()).await;
        assert_eq!(list.unwrap().keys.len(), 1);
        revoke(&keys, &issued.key.id).await.unwrap();
        assert_eq!(is_accepted(&keys, &issued.token).await, Some(false));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_of_another_database_is_an_error() {
    let schema = Schema::new().await;
    let pool = schema.pool(1).await;
    let name = format!("feed_{}", schema.name);
    execute(&pool, format!("CREATE DATABASE {name}")).await;
    let options = (*pool.connect_options()).clone().database(&name);
    let config = schema.config.clone().with_feed_options(options.clone());
    let open = async || PostgresStore::with_config(pool.clone(), config.clone()).await;
    // Without tables, and with those of another store.
    let error = open().await.unwrap_err();
    assert!(matches!(error, OpenError::OtherFeed), "{error:?}");
    let other = PgPool::connect_with(options).await.unwrap();
    migrate(&other, &schema.config).await.unwrap();
    let error = open().await.unwrap_err();
    assert!(matches!(error, OpenError::OtherFeed), "{error:?}");
}

/// For example, the name of the host has another address now. The feed and the pool may notice this
/// at different times.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_whose_connections_lead_to_another_store_decides_nothing() {
    let [first, second] = ["", ""].map(|_| Cluster::with_options("-c fsync=off"));
    let proxy = Proxy::start(&first);
    let (pool, other_pool) = (migrated(&first).await, migrated(&second).await);
    let config = PostgresConfig::new();
    let store = store_at(&proxy.url(), 4, &config).await;
    let keys = open(&store).await;
    let other = open(&store_at(&second.url(), 2, &config).await).await;
    let (issued, foreign) = (create(&keys).await, create(&other).await);
    assert_eq!(is_accepted(&keys, &issued.token).await, Some(true));

    proxy.lead_to(&second);
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";
    execute(&pool, end).await;
    // No lease is extended, and no record of the other store is read.
    eventually("the end of the lease", async || {
        is_accepted(&keys, &issued.token).await.is_none()
    })
    .await;
    assert_eq!(is_accepted(&keys, &foreign.token).await, None);
    assert!(store.ping().await.is_err());
    let created = keys.issuer().create(&operator(), new_key()).await;
    assert!(is_unknown(&created));
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM keywright.keys")
        .fetch_one(&other_pool)
        .await
        .unwrap();
    assert_eq!(count, 1);

    proxy.lead_to(&first);
    execute(&other_pool, end).await;
    eventually("the store", async || {
        is_accepted(&keys, &issued.token).await == Some(true)
    })
    .await;
}
