//! A primary with a synchronous standby: the standby is promoted, or stops.

use std::{
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use keywright_core::{Issued, Keywright, Reach, store::KeyStore as _};
use keywright_store_postgres::PostgresConfig;
use sqlx::PgPool;
use tokio::sync::watch;

use crate::{
    cluster::Cluster,
    proxy::Proxy,
    router::Router,
    sample::{
        connect, create, eventually, execute, is_accepted, is_unknown, migrated, open, operator,
        revoke, store_at,
    },
};

/// A primary and its synchronous standby.
struct Pair {
    primary: Cluster,
    standby: Cluster,
    /// A pool of the primary.
    pool: PgPool,
}

impl Pair {
    async fn start() -> Self {
        let primary = Cluster::durable();
        let pool = migrated(&primary).await;
        let standby = primary.standby();
        execute(&pool, "ALTER SYSTEM SET synchronous_standby_names = '*'").await;
        execute(&pool, "SELECT pg_reload_conf()").await;
        eventually("the standby", async || {
            let sql = "SELECT count(*) FROM pg_stat_replication \
                 WHERE sync_state = 'sync' AND state = 'streaming' \
                 AND current_setting('synchronous_standby_names') <> ''";
            let count: i64 = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
            count == 1
        })
        .await;
        Self {
            primary,
            standby,
            pool,
        }
    }

    /// Promotes the standby. Its changes wait for no standby.
    async fn promote(&self) {
        self.standby.promote();
        let pool = connect(&self.standby.url(), 1).await;
        execute(&pool, "ALTER SYSTEM SET synchronous_standby_names = ''").await;
        execute(&pool, "SELECT pg_reload_conf()").await;
    }
}

/// Verifies a token until `end` is set, and returns when it was last accepted.
async fn last_acceptance(
    keys: Keywright,
    issued: Arc<Issued>,
    end: watch::Receiver<bool>,
) -> Option<Instant> {
    let mut last = None;
    while !*end.borrow() {
        if is_accepted(&keys, &issued.token).await == Some(true) {
            last = Some(Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    last
}

/// Returns how long after its revocation on the new primary a key was accepted through the old one.
///
/// With `suspended`, the processes of the old primary are stopped during the failover, and then
/// continue as if nothing had happened.
async fn fail_over(suspended: bool) -> Duration {
    let pair = Pair::start().await;
    let proxy = Proxy::start(&pair.primary);
    let config = PostgresConfig::new();
    let keys = open(&store_at(&proxy.url(), 4, &config).await).await;
    let (revoked, kept) = (Arc::new(create(&keys).await), create(&keys).await);
    for issued in [&*revoked, &kept] {
        assert_eq!(is_accepted(&keys, &issued.token).await, Some(true));
    }
    let (end, ended) = watch::channel(false);
    let client = tokio::spawn(last_acceptance(keys.clone(), Arc::clone(&revoked), ended));

    if suspended {
        pair.primary.suspend();
    }
    pair.promote().await;
    let new = open(&store_at(&pair.standby.url(), 2, &config).await).await;
    revoke(&new, &revoked.key.id).await.unwrap();
    let revoked_at = Instant::now();
    pair.primary.resume();

    // The old primary still has the key as active, and clients are still connected to it.
    let active: bool =
        sqlx::query_scalar("SELECT bool_and(revoked_at IS NULL) FROM keywright.keys")
            .fetch_one(&pair.pool)
            .await
            .unwrap();
    assert!(active);
    eventually("the end of the acceptance", async || {
        is_accepted(&keys, &revoked.token).await != Some(true)
    })
    .await;
    // A key that was never cached is not accepted either.
    let (first, second) = tokio::join!(
        is_accepted(&keys, &revoked.token),
        is_accepted(&keys, &kept.token)
    );
    assert_eq!((first, second), (None, None));

    // The address leads to the new primary, and the connections to the old one end with their
    // deadlines.
    proxy.lead_to(&pair.standby);
    eventually("the new primary", async || {
        is_accepted(&keys, &kept.token).await == Some(true)
    })
    .await;
    assert_eq!(is_accepted(&keys, &revoked.token).await, Some(false));
    end.send(true).unwrap();
    // On a slow machine, the lease may lapse before the client has used it even once.
    let last = client.await.unwrap();
    last.map_or(Duration::ZERO, |last| {
        last.saturating_duration_since(revoked_at)
    })
}

/// `KEYWRIGHT_FAILOVERS` sets the number of runs. Prints the longest acceptance of a revoked key.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_primary_that_is_cut_off_accepts_no_key_that_the_new_one_has_revoked() {
    let runs = env::var("KEYWRIGHT_FAILOVERS").map_or(2, |runs| runs.parse().unwrap());
    let mut longest = Duration::ZERO;
    for run in 0..runs {
        let accepted = fail_over(run % 2 == 1).await;
        println!("run {run}: accepted for {accepted:?} after the revocation");
        longest = longest.max(accepted);
    }
    println!("longest acceptance after the revocation in {runs} runs: {longest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_that_no_standby_confirms_is_not_acknowledged() {
    let pair = Pair::start().await;
    // If this limit ended the wait, the commit would succeed without the standby.
    execute(
        &pair.pool,
        "ALTER ROLE keywright SET statement_timeout = 300",
    )
    .await;
    let config = PostgresConfig::new();
    let keys = open(&store_at(&pair.primary.url(), 4, &config).await).await;
    let (revoked, kept) = (create(&keys).await, create(&keys).await);
    assert_eq!(is_accepted(&keys, &kept.token).await, Some(true));

    pair.standby.suspend();
    let caller = operator();
    let cascade = keys
        .issuer()
        .revoke(&caller, &kept.key.id, Reach::Descendants);
    let (alone, cascade) = tokio::join!(revoke(&keys, &revoked.key.id), cascade);
    assert!(is_unknown(&alone), "{alone:?}");
    assert!(is_unknown(&cascade), "{cascade:?}");
    // The primary may have been replaced, so it accepts and rejects nothing.
    for issued in [&revoked, &kept] {
        assert_eq!(is_accepted(&keys, &issued.token).await, None);
    }

    pair.standby.resume();
    eventually("the standby", async || {
        revoke(&keys, &revoked.key.id).await.is_ok()
    })
    .await;
    assert_eq!(is_accepted(&keys, &revoked.token).await, Some(false));
    create(&keys).await;
}

/// The pooler sends single statements to the old primary, and transactions to the new one. A
/// heartbeat that the new one accepts says nothing about a poll of the old one.
#[tokio::test(flavor = "multi_thread")]
async fn a_poll_that_a_pooler_sends_to_the_old_primary_hides_no_revocation() {
    let pair = Pair::start().await;
    // So long that no pause of the machine ends the lease.
    let config = PostgresConfig::new().with_staleness_bound(Duration::from_secs(10));
    let old = open(&store_at(&pair.primary.url(), 2, &config).await).await;
    let issued = create(&old).await;
    let id = issued.key.id;
    pair.promote().await;
    let new = open(&store_at(&pair.standby.url(), 2, &config).await).await;
    let router = Router::start(&pair.primary, &pair.standby);
    let store = store_at(&router.url(), 4, &config).await;
    let keys = open(&store).await;
    let lease = store.lease();
    eventually("a lease", async || lease.holds(&id, lease.stamp(&id))).await;
    assert_eq!(is_accepted(&keys, &issued.token).await, Some(true));
    revoke(&new, &id).await.unwrap();
    eventually("the rejection", async || {
        is_accepted(&keys, &issued.token).await == Some(false)
    })
    .await;
}
