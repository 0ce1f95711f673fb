//! The rows that the statements of lists read, with statistics that are missing, outdated or new.

use keywright_core::{
    Environment, EventId, EventOrder, KeyId, ListEvents, ListKeys, ListStart, Owner, Timestamp,
    Workspace, store::KeyStore as _,
};
use keywright_store_postgres::PostgresStore;
use sqlx::{AssertSqlSafe, postgres::PgPoolOptions};

use crate::{
    sample::{create, eventually, open, workspace},
    schema::{Schema, id_text},
};

const ROWS: u32 = 10_000;

/// The size of the pages.
const LIMIT: u32 = 5;

/// The most rows that a page may read: its own, one more that shows whether there is another page,
/// and a few more that an index returns.
const MAX_READ: i64 = 3 * LIMIT as i64;

/// Columns of the key or event number `n`. Few belong to the workspace `small`, are `test`, or
/// have the owner `user:1`. Half of them have the owner `robot`.
const WORKSPACE: &str = "CASE WHEN n % 1000 = 7 THEN 'small' ELSE 'acme' END";
const TEST: &str = "(n % 1000 = 2 OR n % 500 = 1)";
const OWNER: &str = "CASE WHEN n % 2 = 0 THEN 'robot' WHEN n % 100 = 1 THEN 'user:1' END";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Statistics {
    Missing,
    /// From when there was one row.
    Outdated,
    New,
}

/// Creates many keys and events. Returns the key that has half of the events.
async fn fill(schema: &Schema, statistics: Statistics) -> KeyId {
    for table in ["keys", "events"] {
        let sql = format!("ALTER TABLE {{schema}}.{table} SET (autovacuum_enabled = false)");
        schema.execute(&sql).await;
    }
    let key = create(&open(&schema.store().await).await).await.key.id;
    let analyze = "ANALYZE {schema}.keys, {schema}.events";
    if statistics == Statistics::Outdated {
        schema.execute(analyze).await;
    }
    let fields = format!("'workspace', {WORKSPACE}, 'test', {TEST}, 'owner', {OWNER}");
    schema.add_copies(&key, ROWS, &fields).await;
    let id = id_text(&key);
    schema
        .execute(&format!(
            "INSERT INTO {{schema}}.events SELECT c.id, c.workspace, c.test, c.owner, c.key, \
             (e.event::jsonb || jsonb_build_object('id', 'evt_' || c.id, \
             'workspace', c.workspace, 'owner', c.owner, 'key_id', 'key_' || c.key, \
             'environment', CASE WHEN c.test THEN 'test' ELSE 'live' END))::text \
             FROM {{schema}}.events AS e, (SELECT '0U5lKt' || lpad(n::text, 10, '0') AS id, \
             {WORKSPACE} AS workspace, {TEST} AS test, {OWNER} AS owner, \
             CASE WHEN n % 2 = 0 THEN '{id}' ELSE '0U5lKt' || lpad(n::text, 10, '0') END AS key \
             FROM generate_series(1, {ROWS}) AS n) AS c WHERE e.key = '{id}'"
        ))
        .await;
    if statistics == Statistics::New {
        schema.execute(analyze).await;
    }
    key
}

/// Returns how many rows were read in a table, from it and from its indexes.
async fn rows_read(schema: &Schema, table: &str) -> i64 {
    let sql = format!(
        "SELECT (SELECT coalesce(sum(idx_tup_read), 0) FROM pg_stat_user_indexes \
         WHERE schemaname = '{0}' AND relname = '{table}')::bigint + (SELECT seq_tup_read \
         FROM pg_stat_user_tables WHERE schemaname = '{0}' AND relname = '{table}')",
        schema.name
    );
    sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_one(&schema.pool(1).await)
        .await
        .unwrap()
}

/// Returns how many rows of a table a call of the store reads.
async fn read_by<T>(
    schema: &Schema,
    table: &str,
    call: impl AsyncFnOnce(&PostgresStore) -> T,
) -> (i64, T) {
    let before = rows_read(schema, table).await;
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect(&schema.cluster.url())
        .await
        .unwrap();
    let config = schema.config.clone().with_strict();
    let store = PostgresStore::with_config(pool.clone(), config)
        .await
        .unwrap();
    let result = call(&store).await;
    drop(store);
    // The server adds the numbers of a connection when it is closed.
    pool.close().await;
    eventually("the statistics", async || {
        rows_read(schema, table).await > before
    })
    .await;
    (rows_read(schema, table).await - before, result)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_reads_only_its_rows_whatever_the_statistics_are() {
    let now = Timestamp::from_millis(1_700_000_000_000).unwrap();
    let small = Workspace::parse("small").unwrap();
    let owner = |text| Owner::parse(text).ok();
    for statistics in [Statistics::Missing, Statistics::Outdated, Statistics::New] {
        let schema = Schema::new().await;
        let key = fill(&schema, statistics).await;
        let lists = [
            (workspace(), Environment::Live, None),
            (workspace(), Environment::Test, None),
            (workspace(), Environment::Live, owner("user:1")),
            (workspace(), Environment::Live, owner("robot")),
            (workspace(), Environment::Test, owner("robot")),
            (small.clone(), Environment::Live, None),
        ];
        for (workspace, environment, owner) in lists {
            let middle = KeyId::parse("key_0U5lKt0000005000").unwrap();
            let mut list = ListKeys::new()
                .with_start(ListStart::After(middle))
                .with_limit(LIMIT);
            list.owner.clone_from(&owner);
            let (read, page) = read_by(&schema, "keys", async |store| {
                store.list(&workspace, environment, &list, now).await
            })
            .await;
            let what = format!("{statistics:?}: {workspace}, {environment:?}, {owner:?}");
            assert_eq!(page.unwrap().keys.len(), LIMIT as usize, "{what}");
            assert!(read <= MAX_READ, "{what}: {read} keys");

            for order in [EventOrder::NewestFirst, EventOrder::OldestFirst] {
                let mut list = ListEvents::new().with_limit(LIMIT);
                list.after = EventId::parse("evt_0U5lKt0000005000").ok();
                list.order = order;
                list.owner.clone_from(&owner);
                let (read, page) = read_by(&schema, "events", async |store| {
                    store.events(&workspace, environment, &list).await
                })
                .await;
                assert_eq!(page.unwrap().events.len(), LIMIT as usize, "{what}");
                assert!(read <= MAX_READ, "{what}, {order:?}: {read} events");
            }
        }
        for order in [EventOrder::NewestFirst, EventOrder::OldestFirst] {
            let mut list = ListEvents::new().with_key(key).with_limit(LIMIT);
            list.after = EventId::parse("evt_0U5lKt0000005000").ok();
            list.order = order;
            // The key of a workspace that the caller does not see.
            for (workspace, expected) in [("acme", LIMIT as usize), ("other", 0)] {
                let workspace = Workspace::parse(workspace).unwrap();
                let (read, page) = read_by(&schema, "events", async |store| {
                    store.events(&workspace, Environment::Live, &list).await
                })
                .await;
                let what = format!("{statistics:?}: key in {workspace}, {order:?}");
                assert_eq!(page.unwrap().events.len(), expected, "{what}");
                assert!(read <= MAX_READ, "{what}: {read} events");
            }
        }
    }
}
