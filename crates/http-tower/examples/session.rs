//! An axum service whose users sign in, and manage their API keys in that session. A key with the
//! permission `calls:read` gives access to `GET /calls`.
//!
//! Run it with `cargo run -p keywright-http-tower --example session`. It prints commands to try.

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use keywright_core::{Caller, Config, Keywright, Prefix, Timestamp, Workspace};
use keywright_http_tower::{ApiKeys, AuthLayer};
use keywright_store_sqlite::SqliteStore;
use serde::Deserialize;
use subtle::ConstantTimeEq;
use tokio::sync::Mutex;

type Error = Box<dyn std::error::Error>;

/// The name of the session cookie. With the prefix `__Host-`, a browser accepts it only from this
/// host, with `Secure` and `Path=/`.
const COOKIE: &str = "__Host-session";

const LIFETIME: Duration = Duration::from_secs(8 * 60 * 60);

/// Builds the service. People manage keys in their session, and programs with a key that has the
/// permission.
pub(crate) fn app(keys: &Keywright, password: String) -> Result<Router, Error> {
    let site = Arc::new(Site {
        keys: keys.clone(),
        password,
        sessions: Mutex::default(),
    });
    let readers = AuthLayer::new(keys.verifier().clone()).require("calls:read".parse()?);
    Ok(Router::new()
        .nest_service("/v1/api-keys", ApiKeys::nested(keys, "/v1/api-keys"))
        // A layer wraps the routes above it. They accept a session or a key, and the routes below
        // accept only a key.
        .layer(middleware::from_fn_with_state(Arc::clone(&site), session))
        .route("/session", post(sign_in).delete(sign_out))
        .route("/calls", get(calls).layer(readers))
        .with_state(site))
}

struct Site {
    keys: Keywright,
    /// The password of `ada`, the only user. A real service keeps password hashes in its database.
    password: String,
    sessions: Mutex<HashMap<String, Session>>,
}

#[derive(Clone)]
struct Session {
    caller: Caller,
    end: Timestamp,
}

#[derive(Deserialize)]
struct Login {
    user: String,
    password: String,
}

impl Site {
    /// Returns the caller if the user and the password are correct. Replace this with your own
    /// check, which decides the workspace and the permissions of the user.
    fn check(&self, login: &Login) -> Option<Caller> {
        let matches = login.password.as_bytes().ct_eq(self.password.as_bytes());
        (login.user == "ada" && bool::from(matches)).then_some(())?;
        let workspace = Workspace::parse("acme").ok()?;
        Some(Caller::new(workspace, "*".parse().ok()?))
    }
}

/// Starts a session.
///
/// `SameSite=Strict` keeps the cookie out of requests that other sites cause (CSRF), and `HttpOnly`
/// hides it from scripts. Subdomains count as the same site. If you do not trust yours, add
/// [`ApiKeys::from_browser_sessions`], which rejects changes from other origins.
async fn sign_in(
    State(site): State<Arc<Site>>,
    Json(login): Json<Login>,
) -> Result<impl IntoResponse, StatusCode> {
    let caller = site.check(&login).ok_or(StatusCode::UNAUTHORIZED)?;
    let id = random().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let cookie = format!(
        "{COOKIE}={id}; Path=/; Max-Age={}; Secure; HttpOnly; SameSite=Strict",
        LIFETIME.as_secs()
    );
    let now = site.keys.issuer().now();
    let end = now.saturating_add(LIFETIME);
    let mut sessions = site.sessions.lock().await;
    sessions.retain(|_, session| now < session.end);
    sessions.insert(id, Session { caller, end });
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]))
}

async fn sign_out(State(site): State<Arc<Site>>, headers: HeaderMap) -> impl IntoResponse {
    if let Some(id) = session_id(&headers) {
        site.sessions.lock().await.remove(id);
    }
    let cookie = format!("{COOKIE}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict");
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)])
}

/// Puts the caller of the session into the request. Without a session, `ApiKeys` requires a key.
async fn session(State(site): State<Arc<Site>>, mut request: Request, next: Next) -> Response {
    if let Some(id) = session_id(request.headers()) {
        // The lock is released at the end of this statement, before the request is handled.
        let session = site.sessions.lock().await.get(id).cloned();
        if let Some(session) = session.filter(|session| site.keys.issuer().now() < session.end) {
            request.extensions_mut().insert(session.caller);
        }
    }
    next.run(request).await
}

fn session_id(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|cookies| cookies.to_str().ok())
        .flat_map(|cookies| cookies.split("; "))
        .filter_map(|cookie| cookie.split_once('='))
        .find_map(|(name, id)| (name == COOKIE).then_some(id))
}

/// Returns 128 random bits, in hexadecimal.
fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

async fn calls(Extension(caller): Extension<Caller>) -> String {
    format!("the calls of {}\n", caller.workspace())
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let store = Arc::new(SqliteStore::open("acme.db")?);
    let keys = Keywright::open(Config::new(Prefix::parse("acme")?), store).await?;
    let password = random()?;
    println!(
        r#"Sign in, create a key, and use it:
  curl -i -c cookies http://127.0.0.1:3000/session -H 'Content-Type: application/json' \
    -d '{{"user": "ada", "password": "{password}"}}'
  curl -b cookies http://127.0.0.1:3000/v1/api-keys -H 'Content-Type: application/json' \
    -d '{{"name": "reader", "permissions": ["calls:read"]}}'
  curl http://127.0.0.1:3000/calls -H "Authorization: Bearer $SECRET""#
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app(&keys, password)?).await?)
}
