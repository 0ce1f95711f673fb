//! Migrations to a version that does not exist yet, on a real server.

use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};

use super::{OpenError, PostgresConfig, SchemaName, migrate, run, schema::MIGRATIONS};

#[expect(dead_code, reason = "the other tests use the rest")]
#[path = "../../tests/postgres/cluster.rs"]
mod cluster;

const V2: &str = "CREATE TABLE {schema}.pretended (id text);\n";

async fn migrated() -> (cluster::Cluster, PgPool, SchemaName) {
    let cluster = cluster::Cluster::with_options("-c fsync=off");
    let options = PgPoolOptions::new().max_connections(2);
    let pool = options.connect(&cluster.url()).await.unwrap();
    let config = PostgresConfig::new();
    migrate(&pool, &config).await.unwrap();
    (cluster, pool, config.schema)
}

async fn execute(pool: &PgPool, sql: &'static str) {
    sqlx::raw_sql(sql).execute(pool).await.unwrap();
}

async fn stored_version(pool: &PgPool) -> String {
    let sql = "SELECT value FROM keywright.settings WHERE name = 'version'";
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_keeps_the_seal_of_a_store() {
    let migrations = [MIGRATIONS[0], V2];
    for (before, after) in [("1", "2"), ("-1", "-2")] {
        let (_cluster, pool, schema) = migrated().await;
        let set =
            format!("UPDATE keywright.settings SET value = '{before}' WHERE name = 'version'");
        sqlx::raw_sql(AssertSqlSafe(set))
            .execute(&pool)
            .await
            .unwrap();
        run(&pool, &schema, &migrations).await.unwrap();
        assert_eq!(stored_version(&pool).await, after);
        execute(&pool, "SELECT FROM keywright.pretended").await;
        // The second time, there is nothing to do.
        run(&pool, &schema, &migrations).await.unwrap();
        let older = migrate(&pool, &PostgresConfig::new()).await;
        assert!(
            matches!(older, Err(OpenError::NewerSchema { found: 2, .. })),
            "{older:?}"
        );
    }
}

/// A poll of a feed reads the table `settings`. If it waited as long as the migration, the leases
/// of all servers would lapse.
#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_waits_for_a_transaction_lets_others_read_and_gives_up() {
    let migrations = [MIGRATIONS[0], V2];
    let (_cluster, pool, schema) = migrated().await;
    let mut open = pool.begin().await.unwrap();
    let read = "SELECT FROM keywright.settings";
    sqlx::raw_sql(read).execute(&mut *open).await.unwrap();
    let migrating = tokio::spawn({
        let pool = PgPool::connect_lazy_with((*pool.connect_options()).clone());
        let (schema, migrations) = (schema.clone(), migrations);
        async move { run(&pool, &schema, &migrations).await }
    });
    execute(&pool, "ALTER ROLE keywright SET lock_timeout = 0").await;
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted \
         AND relation = 'keywright.settings'::regclass";
    let (mut seen, mut reads) = (0_u32, 0_u32);
    while !migrating.is_finished() {
        let waiting: i64 = sqlx::query_scalar(waits).fetch_one(&pool).await.unwrap();
        if waiting > 0 {
            seen += 1;
            let read = format!("BEGIN; SET LOCAL lock_timeout = '2s'; {read}; COMMIT");
            sqlx::raw_sql(AssertSqlSafe(read))
                .execute(&pool)
                .await
                .unwrap();
            reads += 1;
        }
    }
    assert!(seen > 0 && reads > 0);
    let result = migrating.await.unwrap();
    assert!(
        matches!(result, Err(OpenError::Locked { .. })),
        "{result:?}"
    );
    open.rollback().await.unwrap();
    run(&pool, &schema, &migrations).await.unwrap();
    assert_eq!(stored_version(&pool).await, "2");
}
