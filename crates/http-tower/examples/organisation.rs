//! An axum service for an organisation. Admins manage all API keys, and members manage their own.
//! Each key carries the plan of the organisation, which limits the rate of its requests.
//!
//! Run it with `cargo run -p keywright-http-tower --example organisation`. It prints commands to
//! try.

use std::{collections::HashMap, num::NonZeroU32, sync::Arc};

use axum::{
    Extension, Router,
    extract::{Path, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{delete, get},
};
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    state::keyed::HashMapStateStore,
};
use keywright_core::{
    Attributes, Caller, Config, Keywright, Owner, Permission, Prefix, Verified, Workspace,
};
use keywright_http_tower::{ApiKeys, AuthLayer, Rejection, error_response, issue_error_response};
use keywright_store_sqlite::SqliteStore;
use serde::{Deserialize, Serialize};

type Error = Box<dyn std::error::Error>;

/// The attributes of every key. Clients can neither read nor change them.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Subscription {
    pub(crate) plan: Plan,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Plan {
    Free,
    Pro,
}

#[derive(Clone, Copy)]
pub(crate) enum Role {
    Admin,
    Member,
}

/// Returns the caller for a person who has signed in. Your database knows the role of the person
/// and the plan of the organisation.
pub(crate) fn caller(user: &str, role: Role, subscription: Subscription) -> Result<Caller, Error> {
    let permissions = match role {
        Role::Admin => "api_keys:*,calls:*",
        // A member reaches only the keys of this owner, and can grant no other permissions.
        Role::Member => "api_keys.own:*,calls:read",
    };
    let caller = Caller::new(Workspace::parse("acme")?, permissions.parse()?)
        .with_owner(Owner::parse(user)?)
        .with_attributes(Attributes::new(&subscription)?);
    Ok(caller)
}

/// The signed-in callers, by session id. The example `session` shows how sessions start and end.
pub(crate) type Sessions = HashMap<String, Caller>;

/// Builds the service.
pub(crate) fn app(keys: &Keywright, sessions: Sessions) -> Result<Router, Error> {
    let readers = AuthLayer::new(keys.verifier().clone()).require("calls:read".parse()?);
    let budgets = Arc::new(Budgets::new());
    let calls = Router::new()
        .route("/calls", get(calls))
        .layer(middleware::from_fn_with_state(budgets, limit))
        // Outside the limit, which needs to know the key.
        .layer(readers);
    Ok(Router::new()
        .nest_service("/v1/api-keys", ApiKeys::nested(keys, "/v1/api-keys"))
        .route("/members/{user}/keys", delete(off_board))
        .layer(middleware::from_fn_with_state(Arc::new(sessions), session))
        .merge(calls)
        .with_state(keys.clone()))
}

/// Puts the caller of the session into the request.
async fn session(
    State(sessions): State<Arc<Sessions>>,
    mut request: Request,
    next: Next,
) -> Response {
    let cookie = request.headers().get(header::COOKIE);
    let id = cookie.and_then(|cookie| cookie.to_str().ok()?.strip_prefix("session="));
    if let Some(caller) = id.and_then(|id| sessions.get(id)).cloned() {
        request.extensions_mut().insert(caller);
    }
    next.run(request).await
}

/// Revokes all keys of a person who leaves.
async fn off_board(
    State(keys): State<Keywright>,
    caller: Option<Extension<Caller>>,
    Path(user): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(Extension(caller)) = caller else {
        return Rejection::Missing.to_response(&headers).into_response();
    };
    // Members may revoke their own keys, but only admins may use this route.
    if !caller.may(&Permission::API_KEYS_WRITE) {
        let missing = Rejection::MissingPermission(Permission::API_KEYS_WRITE);
        return missing.to_response(&headers).into_response();
    }
    let Ok(owner) = Owner::parse(&user) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match keys.issuer().revoke_all(&caller, Some(&owner)).await {
        Ok(count) => format!("revoked {count} keys of {owner}\n").into_response(),
        Err(error) => issue_error_response(&error, &headers).into_response(),
    }
}

type Budget = RateLimiter<Owner, HashMapStateStore<Owner>, DefaultClock>;

/// The requests that each person may still make, by the plan.
struct Budgets {
    free: Budget,
    pro: Budget,
}

impl Budgets {
    fn new() -> Self {
        let per_minute = |requests: NonZeroU32| RateLimiter::hashmap(Quota::per_minute(requests));
        const TEN: NonZeroU32 = NonZeroU32::new(10).unwrap();
        const THOUSAND: NonZeroU32 = NonZeroU32::new(1000).unwrap();
        Self {
            free: per_minute(TEN),
            pro: per_minute(THOUSAND),
        }
    }
}

/// Limits the request rate of each person, whichever of their keys they use.
async fn limit(
    State(budgets): State<Arc<Budgets>>,
    Extension(verified): Extension<Verified>,
    request: Request,
    next: Next,
) -> Response {
    let key = verified.key();
    let attributes = key.attributes.as_ref();
    let subscription = attributes.and_then(|attributes| attributes.get::<Subscription>().ok());
    let budget = match subscription.map(|subscription| subscription.plan) {
        Some(Plan::Pro) => &budgets.pro,
        Some(Plan::Free) | None => &budgets.free,
    };
    let Some(owner) = &key.owner else {
        return StatusCode::FORBIDDEN.into_response();
    };
    let Err(rejected) = budget.check_key(owner) else {
        return next.run(request).await;
    };
    let wait = rejected.wait_time_from(DefaultClock::default().now());
    let message = "too many requests for the plan";
    let headers = request.headers();
    let mut response = error_response(
        StatusCode::TOO_MANY_REQUESTS,
        "plan_limit",
        message,
        headers,
    );
    let seconds = wait.as_secs() + 1;
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, seconds.into());
    response.into_response()
}

async fn calls(Extension(caller): Extension<Caller>) -> String {
    let owner = caller.owner().map_or("", Owner::as_str);
    format!("the calls of {}, for {owner}\n", caller.workspace())
}

/// Returns 128 random bits, in hexadecimal.
fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let store = Arc::new(SqliteStore::open("acme.db")?);
    let keys = Keywright::open(Config::new(Prefix::parse("acme")?), store).await?;
    let subscription = Subscription { plan: Plan::Free };
    let (admin, member) = (random()?, random()?);
    let sessions = HashMap::from([
        (
            admin.clone(),
            caller("user:ada", Role::Admin, subscription)?,
        ),
        (
            member.clone(),
            caller("user:bob", Role::Member, subscription)?,
        ),
    ]);
    println!(
        r#"Bob creates a key and sees his keys, and Ada sees all and revokes those of Bob:
  curl -b session={member} http://127.0.0.1:3000/v1/api-keys -H 'Content-Type: application/json' \
    -d '{{"name": "reader", "permissions": ["calls:read"]}}'
  curl -b session={member} http://127.0.0.1:3000/v1/api-keys
  curl http://127.0.0.1:3000/calls -H "Authorization: Bearer $SECRET"
  curl -b session={admin} http://127.0.0.1:3000/v1/api-keys
  curl -b session={admin} -X DELETE http://127.0.0.1:3000/members/user:bob/keys"#
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app(&keys, sessions)?).await?)
}
