//! The example that creates a user and the user's key in one transaction.

#[path = "../../examples/sign_up_service.rs"]
#[expect(dead_code, reason = "the example's main is not called")]
mod example;

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use keywright_core::{
    Config, Keywright, Owner, Prefix, Scheme, Token, TokenRef, store::KeyStore as _,
};
use keywright_store_postgres::PostgresStore;
use sqlx::{AssertSqlSafe, PgPool};
use tower::ServiceExt as _;

use self::example::App;
use crate::{cluster::Cluster, sample::is_accepted};

fn config() -> Config {
    Config::new(Prefix::parse("acme").unwrap()).with_scheme(Scheme::HmacSha256)
}

/// The service in an empty database with this name, which has the schema of the store's defaults.
async fn service(database: &str) -> (App, Router, Arc<Cluster>) {
    let cluster = Cluster::shared();
    let server = PgPool::connect(&cluster.url()).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {database}")))
        .execute(&server)
        .await
        .unwrap();
    let url = cluster.url();
    let url = format!("{}{database}", url.strip_suffix("postgres").unwrap());
    let pool = PgPool::connect(&url).await.unwrap();
    let (app, router) = example::app(pool, config()).await.unwrap();
    (app, router, cluster)
}

/// Signs a user up, and returns the status and the body of the response.
async fn sign_up(router: &Router, user: &str) -> (StatusCode, String) {
    let request = Request::post("/sign-up")
        .header("content-type", "application/json")
        .body(Body::from(format!(r#"{{"user": "{user}"}}"#)))
        .unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1024).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// Returns the numbers of users and keys.
async fn counts(app: &App) -> (i64, i64) {
    sqlx::query_as("SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM keywright.keys)")
        .fetch_one(&app.pool)
        .await
        .unwrap()
}

/// Opens the library over another store in the same database, as another server does.
async fn other_server(app: &App) -> Keywright {
    let store = PostgresStore::new(app.pool.clone()).await.unwrap();
    Keywright::open(config(), Arc::new(store)).await.unwrap()
}

fn owner(user: &str) -> Owner {
    Owner::parse(user).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_up_creates_the_user_and_the_key_or_neither() {
    let (app, router, _cluster) = service("sign_up").await;
    let (status, token) = sign_up(&router, "ada").await;
    assert_eq!(status, StatusCode::CREATED);
    for keys in [&app.keys, &other_server(&app).await] {
        let verified = keys.verifier().verify(token.as_bytes()).await.unwrap();
        assert_eq!(verified.key().owner, Some(owner("user:ada")));
    }
    // The row of the user violates its primary key after the key was inserted.
    assert_eq!(sign_up(&router, "ada").await.0, StatusCode::CONFLICT);
    assert_eq!(sign_up(&router, "a b").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(counts(&app).await, (1, 1));
    let statuses = ["eve", "eve"].map(|user| sign_up(&router, user));
    let [first, second] = statuses;
    let (first, second) = tokio::join!(first, second);
    let mut statuses = [first.0, second.0];
    statuses.sort();
    assert_eq!(statuses, [StatusCode::CREATED, StatusCode::CONFLICT]);
    assert_eq!(counts(&app).await, (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_a_sign_up_that_is_rolled_back_verifies_nowhere() {
    let (app, router, _cluster) = service("rolled_back").await;
    let other = other_server(&app).await;
    let prepared = app.prepare_key(owner("user:ada")).await.unwrap();
    let id = prepared.key().id;
    let mut transaction = app.pool.begin().await.unwrap();
    assert!(app.insert(&mut transaction, &prepared).await.unwrap());
    // The host does not do this. It gives the test the token before the transaction ends.
    let token: Token = app.keys.issuer().committed(prepared).token;
    let verifies_nowhere = async || {
        let later = other_server(&app).await;
        for keys in [&app.keys, &other, &later] {
            assert_eq!(is_accepted(keys, &token).await, Some(false));
        }
    };
    verifies_nowhere().await;
    transaction.rollback().await.unwrap();
    verifies_nowhere().await;
    assert!(app.store.find(&id).await.unwrap().is_none());
    assert_eq!(counts(&app).await, (0, 0));
    // The name is free, and the new key has another id and another secret.
    let (status, second) = sign_up(&router, "ada").await;
    assert_eq!(status, StatusCode::CREATED);
    let prefix = Prefix::parse("acme").unwrap();
    let second = TokenRef::parse(second.as_bytes(), &prefix);
    assert!(second.is_ok_and(|second| *second.id() != id));
    verifies_nowhere().await;
}
