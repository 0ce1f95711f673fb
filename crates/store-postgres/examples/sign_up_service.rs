//! A service that creates a user and the user's API key in one transaction, so that there is no
//! user without a key, and no key without its user.
//!
//! Run it with the URL of an empty database:
//!
//! ```sh
//! DATABASE_URL=postgres://… cargo run -p keywright-store-postgres --example sign_up_service
//! curl http://127.0.0.1:3000/sign-up -H "Content-Type: application/json" -d '{"user": "ada"}'
//! ```

use std::{env, sync::Arc};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use keywright_core::{
    Caller, Config, Keywright, Name, NewKey, Owner, Prefix, PreparedKey, Workspace,
};
use keywright_store_postgres::{PostgresConfig, PostgresStore, migrate};
use serde::Deserialize;
use sqlx::{PgPool, PgTransaction};

type Error = Box<dyn std::error::Error + Send + Sync>;

#[derive(Clone)]
pub(crate) struct App {
    pub(crate) pool: PgPool,
    pub(crate) store: Arc<PostgresStore>,
    pub(crate) keys: Keywright,
}

#[derive(Deserialize)]
struct SignUp {
    user: String,
}

/// Creates a user, and responds with the token of the user's key.
async fn sign_up(
    State(app): State<App>,
    Json(SignUp { user }): Json<SignUp>,
) -> Result<(StatusCode, String), StatusCode> {
    let user = Owner::parse(&format!("user:{user}")).map_err(|_| StatusCode::BAD_REQUEST)?;
    match app.create_user(user).await {
        Ok(Some(token)) => Ok((StatusCode::CREATED, token)),
        Ok(None) => Err(StatusCode::CONFLICT),
        Err(error) => {
            eprintln!("{error}");
            Err(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

impl App {
    /// Creates a user with a key, and returns the key's token. Returns `None` if the name is taken.
    async fn create_user(&self, user: Owner) -> Result<Option<String>, Error> {
        // This hashes the secret. Do it before the transaction, which then stays short.
        let prepared = self.prepare_key(user).await?;
        let mut transaction = self.pool.begin().await?;
        if !self.insert(&mut transaction, &prepared).await? {
            // Dropping the transaction rolls it back. The key never exists.
            return Ok(None);
        }
        transaction.commit().await?;
        let issued = self.keys.issuer().committed(prepared);
        Ok(Some(issued.token.expose().to_owned()))
    }

    pub(crate) async fn prepare_key(&self, user: Owner) -> Result<PreparedKey, Error> {
        let new = NewKey::new(Name::parse("First key")?)
            .with_permissions("calls:read,api_keys.own:*".parse()?);
        // The key has the owner of the caller that creates it.
        let host = Caller::operator(Workspace::parse("users")?).with_owner(user);
        Ok(self.keys.issuer().prepare(&host, new).await?)
    }

    /// Inserts a key and its user. Returns `false` if the name is taken.
    pub(crate) async fn insert(
        &self,
        transaction: &mut PgTransaction<'_>,
        prepared: &PreparedKey,
    ) -> Result<bool, Error> {
        self.store.insert_in(transaction, prepared).await?;
        let key = prepared.key();
        let inserted = sqlx::query("INSERT INTO users (name, first_key) VALUES ($1, $2)")
            .bind(key.owner.as_ref().map(Owner::to_string))
            .bind(key.id.to_string())
            .execute(&mut **transaction)
            .await;
        match inserted {
            Ok(_) => Ok(true),
            Err(error) => match error.as_database_error() {
                Some(database) if database.is_unique_violation() => Ok(false),
                _ => Err(error.into()),
            },
        }
    }
}

/// Creates the tables of the host and of the store, and the service over them.
pub(crate) async fn app(pool: PgPool, config: Config) -> Result<(App, Router), Error> {
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS users (name text PRIMARY KEY, first_key text NOT NULL)",
    )
    .execute(&pool)
    .await?;
    migrate(&pool, &PostgresConfig::new()).await?;
    let store = Arc::new(PostgresStore::new(pool.clone()).await?);
    let keys = Keywright::open(config, Arc::clone(&store) as _).await?;
    let app = App { pool, store, keys };
    let router = Router::new()
        .route("/sign-up", post(sign_up))
        .with_state(app.clone());
    Ok((app, router))
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let pool = PgPool::connect(&env::var("DATABASE_URL")?).await?;
    let (_, router) = app(pool, Config::new(Prefix::parse("acme")?)).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, router).await?)
}
