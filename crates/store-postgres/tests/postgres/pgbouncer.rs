//! PgBouncer in transaction mode between the store and the server.

use keywright_core::{KeyUpdate, NewRotation, Reach};
use keywright_store_postgres::{PostgresStore, migrate};

use crate::{
    bouncer::Bouncer,
    sample::{connect, create, eventually, execute, is_accepted, open, operator, revoke, store_at},
    schema::Schema,
};

mod conformance {
    use keywright_core::conformance_tests;

    use crate::conformance::InSchema;

    conformance_tests!(InSchema::behind_bouncer());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_sessions_share_few_connections() {
    let schema = Schema::empty();
    let bouncer = Bouncer::start(&schema.cluster, 3);
    let pool = connect(&bouncer.url(), 1).await;
    migrate(&pool, &schema.config).await.unwrap();
    let mut servers = Vec::new();
    for _ in 0..3 {
        servers.push(open(&store_at(&bouncer.url(), 4, &schema.config).await).await);
    }
    // Another program, whose sessions have the defaults of the server changed.
    let stranger = tokio::spawn(async move {
        for _ in 0..50 {
            execute(&pool, "BEGIN; SET search_path = pg_catalog; COMMIT").await;
            execute(&pool, "BEGIN READ ONLY; SELECT pg_sleep(0.01); COMMIT").await;
        }
    });
    let tasks = (0..24).map(|task| {
        let (ours, others) = (servers.clone(), servers.clone());
        tokio::spawn(async move {
            let ours = ours.into_iter().cycle().nth(task).unwrap();
            let (issuer, caller) = (ours.issuer(), operator());
            for _ in 0..4 {
                let issued = create(&ours).await;
                let id = &issued.key.id;
                for keys in &others {
                    assert_eq!(is_accepted(keys, &issued.token).await, Some(true));
                }
                let update = KeyUpdate::new().with_enabled(true);
                issuer.update(&caller, id, &update).await.unwrap();
                let rotation = NewRotation::new();
                let successor = issuer.rotate(&caller, id, &rotation).await.unwrap();
                let reach = Reach::Descendants;
                let revoked = issuer.revoke(&caller, id, reach).await.unwrap();
                assert_eq!(revoked.count, 2);
                for token in [&issued.token, &successor.token] {
                    assert_eq!(is_accepted(&ours, token).await, Some(false));
                    for keys in &others {
                        eventually("the revocation", async || {
                            is_accepted(keys, token).await == Some(false)
                        })
                        .await;
                    }
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    stranger.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_revoked_without_the_bouncer_is_rejected_behind_it_and_the_reverse() {
    let schema = Schema::new().await;
    let bouncer = Bouncer::start(&schema.cluster, 2);
    let behind = open(&store_at(&bouncer.url(), 2, &schema.config).await).await;
    let direct = open(&schema.store().await).await;
    for (ours, theirs) in [(&behind, &direct), (&direct, &behind)] {
        for _ in 0..5 {
            let issued = create(ours).await;
            assert_eq!(is_accepted(theirs, &issued.token).await, Some(true));
            revoke(ours, &issued.key.id).await.unwrap();
            eventually("the revocation", async || {
                is_accepted(theirs, &issued.token).await == Some(false)
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bouncer_that_restarts_hides_no_revocation() {
    let schema = Schema::new().await;
    let bouncer = Bouncer::start(&schema.cluster, 2);
    let store = store_at(&bouncer.url(), 4, &schema.config).await;
    let (behind, direct) = (open(&store).await, open(&schema.store().await).await);
    for _ in 0..3 {
        let (revoked, kept) = (create(&behind).await, create(&behind).await);
        assert_eq!(is_accepted(&behind, &revoked.token).await, Some(true));
        bouncer.restart();
        revoke(&direct, &revoked.key.id).await.unwrap();
        eventually("the revocation", async || {
            is_accepted(&behind, &revoked.token).await == Some(false)
        })
        .await;
        eventually("the bouncer", async || {
            let accepted = is_accepted(&behind, &kept.token).await;
            assert_ne!(accepted, Some(false));
            accepted == Some(true)
        })
        .await;
    }
}

/// The host may use its pool behind the bouncer for transactions with keys.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_the_host_works_behind_the_bouncer() {
    let schema = Schema::new().await;
    let bouncer = Bouncer::start(&schema.cluster, 2);
    let pool = connect(&bouncer.url(), 4).await;
    let store = PostgresStore::with_config(pool.clone(), schema.config.clone()).await;
    let store = std::sync::Arc::new(store.unwrap());
    let keys = open(&store).await;
    for commit in [true, false] {
        let prepared = keys
            .issuer()
            .prepare(&operator(), crate::sample::new_key())
            .await
            .unwrap();
        let mut transaction = pool.begin().await.unwrap();
        store.insert_in(&mut transaction, &prepared).await.unwrap();
        if commit {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
        let issued = keys.issuer().committed(prepared);
        assert_eq!(is_accepted(&keys, &issued.token).await, Some(commit));
    }
}
