//! A host with sessions, a strict content security policy and a look that is not the console's. Its
//! settings page embeds `<keywright-keys>`.
//!
//! Run it with `cargo run -p keywright-console --example settings`. It prints where to sign in.

use std::{
    collections::HashMap,
    io::{Write, stdout},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
    routing::{any, get, post},
};
use keywright_console::Console;
use keywright_core::{Caller, Config, Keywright, Owner, Prefix, Timestamp, Workspace};
use keywright_http_tower::ApiKeys;
use keywright_store_sqlite::SqliteStore;
use subtle::ConstantTimeEq;
use tokio::sync::Mutex;

type Error = Box<dyn std::error::Error>;

/// The name of the session cookie. With the prefix `__Host-`, a browser accepts it only from this
/// host, with `Secure` and `Path=/`.
const COOKIE: &str = "__Host-session";

const LIFETIME: Duration = Duration::from_secs(8 * 60 * 60);

/// The console needs no exception: no inline script or style, no `eval`, no Trusted Types policy.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

struct Site {
    keys: Keywright,
    /// The password of Ada, the only user. A real service keeps password hashes in its database.
    password: String,
    sessions: Mutex<HashMap<String, Session>>,
}

#[derive(Clone)]
struct Session {
    caller: Caller,
    end: Timestamp,
}

fn app(keys: &Keywright, password: String) -> Router {
    let site = Arc::new(Site {
        keys: keys.clone(),
        password,
        sessions: Mutex::default(),
    });
    // A browser sends the cookie with requests that other sites cause, so only JSON from pages of
    // this origin may change keys.
    let endpoints = ApiKeys::nested(keys, "/v1/api-keys").from_browser_sessions();
    Router::new()
        .route("/", get(settings))
        .nest_service("/v1/api-keys", endpoints)
        .layer(middleware::from_fn_with_state(Arc::clone(&site), session))
        // The files of the console are the same for everyone.
        .nest_service("/console", Console::nested("/console"))
        .route("/settings/{*page}", any(async || Redirect::to("/")))
        .route("/session", post(sign_in))
        .route("/session/end", post(sign_out))
        .route(
            "/settings.css",
            get(async || file("text/css", include_str!("settings/settings.css"))),
        )
        .route(
            "/settings.js",
            get(async || file("text/javascript", include_str!("settings/settings.js"))),
        )
        .layer(middleware::map_response(harden))
        .with_state(site)
}

/// Shows the settings page in a session, and the page to sign in otherwise.
async fn settings(request: Request) -> Response {
    if request.extensions().get::<Caller>().is_some() {
        file(
            "text/html; charset=utf-8",
            include_str!("settings/settings.html"),
        )
    } else {
        file(
            "text/html; charset=utf-8",
            include_str!("settings/sign-in.html"),
        )
    }
}

fn file(media_type: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, media_type)], text).into_response()
}

/// Starts a session, if the body is `password=…` with the right password.
async fn sign_in(State(site): State<Arc<Site>>, body: String) -> Result<Response, StatusCode> {
    let password = body.strip_prefix("password=").unwrap_or_default();
    if !bool::from(password.as_bytes().ct_eq(site.password.as_bytes())) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let caller = caller().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let id = random().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let seconds = LIFETIME.as_secs();
    let cookie =
        format!("{COOKIE}={id}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Strict");
    let now = site.keys.issuer().now();
    let end = now.saturating_add(LIFETIME);
    let mut sessions = site.sessions.lock().await;
    sessions.retain(|_, session| now < session.end);
    sessions.insert(id, Session { caller, end });
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response())
}

/// Returns what Ada may do. Replace this with the rights that your own database has.
fn caller() -> Result<Caller, Error> {
    let permissions = "api_keys:*,calls:*".parse()?;
    Ok(Caller::new(Workspace::parse("acme")?, permissions).with_owner(Owner::parse("user:ada")?))
}

async fn sign_out(State(site): State<Arc<Site>>, headers: HeaderMap) -> impl IntoResponse {
    if let Some(id) = session_id(&headers) {
        site.sessions.lock().await.remove(id);
    }
    let cookie = format!("{COOKIE}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict");
    ([(header::SET_COOKIE, cookie)], Redirect::to("/"))
}

/// Puts the caller of the session into the request.
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

/// Adds the policy to every response that has none.
async fn harden(mut response: Response) -> Response {
    let nosniff: (HeaderName, _) = (header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    for (name, value) in [(header::CONTENT_SECURITY_POLICY, POLICY), nosniff] {
        let value = HeaderValue::from_static(value);
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

/// Returns 128 random bits, in hexadecimal.
fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:3000".into());
    let store = Arc::new(SqliteStore::open("acme.db")?);
    let keys = Keywright::open(Config::new(Prefix::parse("acme")?), store).await?;
    let password = random()?;
    let listener = tokio::net::TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    writeln!(
        stdout(),
        "Sign in on http://{address} with the password {password}"
    )?;
    Ok(axum::serve(listener, app(&keys, password)).await?)
}
