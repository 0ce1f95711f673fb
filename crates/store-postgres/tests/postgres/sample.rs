//! Keys and callers.

use std::{sync::Arc, time::Duration};

use keywright_core::{
    Caller, Config, IssueError, Issued, KeyId, Keywright, Name, NewKey, Permissions, Prefix, Reach,
    Revocation, Scheme, Token, VerifyError, Workspace,
    store::{KeyStore, StoreErrorKind},
};
use keywright_store_postgres::{PostgresConfig, PostgresStore, migrate};
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};

use crate::cluster::{Cluster, PATIENCE};

pub(crate) fn workspace() -> Workspace {
    Workspace::parse("acme").unwrap()
}

pub(crate) fn operator() -> Caller {
    Caller::operator(workspace())
}

pub(crate) fn new_key() -> NewKey {
    NewKey::new(Name::parse("CI").unwrap()).with_permissions(Permissions::all())
}

pub(crate) async fn connect(url: &str, connections: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .connect(url)
        .await
        .unwrap()
}

/// Opens the store at a URL, with a pool of this many connections.
pub(crate) async fn store_at(
    url: &str,
    connections: u32,
    config: &PostgresConfig,
) -> Arc<PostgresStore> {
    let pool = connect(url, connections).await;
    let opened = PostgresStore::with_config(pool, config.clone()).await;
    Arc::new(opened.unwrap())
}

/// Creates the tables in the default schema of a cluster, and returns a connection to it.
pub(crate) async fn migrated(cluster: &Cluster) -> PgPool {
    let pool = connect(&cluster.url(), 1).await;
    migrate(&pool, &PostgresConfig::new()).await.unwrap();
    pool
}

pub(crate) async fn execute(pool: &PgPool, sql: impl Into<String>) {
    let sql = AssertSqlSafe(sql.into());
    sqlx::raw_sql(sql).execute(pool).await.unwrap();
}

/// Asserts that each key of a schema has one event for its creation, and one for its revocation if
/// it is revoked, and that no event is without its change. All keys must have been created, and
/// revoked without their descendants.
pub(crate) async fn assert_events_match(pool: &PgPool, schema: &str) {
    let sql = format!(
        "SELECT coalesce(k.id, e.key) FROM {schema}.keys AS k FULL JOIN (SELECT key, \
         count(*) FILTER (WHERE event::json->>'type' = 'api_key.created') AS created, \
         count(*) FILTER (WHERE event::json->>'type' = 'api_key.revoked') AS revoked \
         FROM {schema}.events GROUP BY key) AS e ON e.key = k.id \
         WHERE (e.created, e.revoked) IS DISTINCT FROM \
         (1, CASE WHEN k.revoked_at IS NULL THEN 0 ELSE 1 END)"
    );
    let wrong: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_all(pool)
        .await
        .unwrap();
    assert!(wrong.is_empty(), "keys and events differ: {wrong:?}");
}

/// Opens the library over a store. Secrets are hashed with HMAC, because the tests hash many.
pub(crate) async fn open(store: &Arc<PostgresStore>) -> Keywright {
    let config = Config::new(Prefix::parse("acme").unwrap()).with_scheme(Scheme::HmacSha256);
    let store = Arc::clone(store) as Arc<dyn KeyStore>;
    Keywright::open(config, store).await.unwrap()
}

/// Revokes a key alone.
pub(crate) async fn revoke(keys: &Keywright, id: &KeyId) -> Result<Revocation, IssueError> {
    keys.issuer().revoke(&operator(), id, Reach::Key).await
}

/// Whether an operation failed because the store is unavailable, and may have been done.
pub(crate) fn is_unknown<T>(result: &Result<T, IssueError>) -> bool {
    matches!(result, Err(IssueError::Store(error)) if error.kind() == StoreErrorKind::Unavailable)
}

pub(crate) async fn create(keys: &Keywright) -> Issued {
    keys.issuer().create(&operator(), new_key()).await.unwrap()
}

/// Verifies a token. `None` if the verifier could not decide.
pub(crate) async fn is_accepted(keys: &Keywright, token: &Token) -> Option<bool> {
    match keys.verifier().verify(token.expose().as_bytes()).await {
        Ok(_) => Some(true),
        Err(VerifyError::Denied(_)) => Some(false),
        Err(_) => None,
    }
}

/// Waits until a condition is true.
#[track_caller]
pub(crate) fn eventually<F: Future<Output = bool>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let end = std::time::Instant::now() + PATIENCE;
        while !condition().await {
            assert!(
                std::time::Instant::now() < end,
                "{caller}: waited for {what}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
