//! The example of an organisation, with an admin and two members.

#[path = "../../examples/organisation.rs"]
#[expect(dead_code, reason = "the example's main is not called")]
mod example;

use axum::{Router, body::Body};
use http::{HeaderValue, Request, StatusCode};
use keywright_core::Keywright;
use serde_json::{Value, json};

use self::example::{Plan, Role, Subscription, caller};
use crate::common::{TestResponse, library, request, send};

/// The service for an organisation with this plan.
async fn organisation(plan: Plan) -> (Router, Keywright) {
    let keys = library().await;
    let sessions = [
        ("ada", Role::Admin),
        ("bob", Role::Member),
        ("eve", Role::Member),
    ];
    let sessions = sessions.map(|(name, role)| {
        let caller = caller(&format!("user:{name}"), role, Subscription { plan });
        (name.to_owned(), caller.unwrap())
    });
    (example::app(&keys, sessions.into()).unwrap(), keys)
}

/// Sends a request in the session of a person.
async fn call(
    app: &Router,
    user: &str,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> TestResponse {
    let mut request: Request<Body> = request(method, path, "", body.as_ref());
    request.headers_mut().remove("authorization");
    let cookie = HeaderValue::from_str(&format!("session={user}")).unwrap();
    request.headers_mut().insert("cookie", cookie);
    send(app.clone(), request).await
}

/// Creates a key in the session of a person. Returns its id and its token.
async fn create(app: &Router, user: &str) -> (String, String) {
    let body = json!({"name": user, "permissions": ["calls:read"]});
    let created = call(app, user, "POST", "/v1/api-keys", Some(body)).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let text = |name: &str| created.json()[name].as_str().unwrap().to_owned();
    (text("id"), text("secret"))
}

#[tokio::test]
async fn members_manage_their_own_keys_and_admins_manage_all() {
    let (app, _) = organisation(Plan::Free).await;
    let (of_bob, _) = create(&app, "bob").await;
    let (of_eve, _) = create(&app, "eve").await;
    let total = async |user: &str| {
        let listed = call(&app, user, "GET", "/v1/api-keys", None).await;
        listed.json()["meta"]["total"].clone()
    };
    for (user, count) in [("ada", 2), ("bob", 1), ("eve", 1)] {
        assert_eq!(total(user).await, count, "{user}");
    }
    for (user, id, status) in [
        ("bob", &of_bob, StatusCode::OK),
        ("bob", &of_eve, StatusCode::NOT_FOUND),
        ("ada", &of_eve, StatusCode::OK),
    ] {
        let path = format!("/v1/api-keys/{id}");
        let renamed = call(&app, user, "PATCH", &path, Some(json!({"name": "n"}))).await;
        assert_eq!(renamed.status, status, "{user}");
    }
    // A member cannot grant more than the organisation grants to members.
    let body = json!({"name": "n", "permissions": ["calls:write"]});
    let response = call(&app, "bob", "POST", "/v1/api-keys", Some(body)).await;
    assert_eq!(response.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_admin_revokes_the_keys_of_a_person_who_leaves() {
    let (app, keys) = organisation(Plan::Free).await;
    let (_, first) = create(&app, "bob").await;
    let (_, second) = create(&app, "bob").await;
    let (_, of_eve) = create(&app, "eve").await;
    let path = "/members/user:bob/keys";
    let rejected = call(&app, "eve", "DELETE", path, None).await;
    assert_eq!(rejected.json()["code"], "insufficient_scope");
    let anonymous = call(&app, "nobody", "DELETE", path, None).await;
    assert_eq!(anonymous.json()["code"], "missing_token");
    let revoked = call(&app, "ada", "DELETE", path, None).await;
    assert_eq!(revoked.text, "revoked 2 keys of user:bob\n");
    for token in [first, second] {
        assert!(keys.verifier().verify(token.as_bytes()).await.is_err());
    }
    assert!(keys.verifier().verify(of_eve.as_bytes()).await.is_ok());
}

#[tokio::test]
async fn the_plan_in_the_attributes_of_a_key_limits_the_rate_of_its_owner() {
    for (plan, limited) in [(Plan::Free, true), (Plan::Pro, false)] {
        let (app, _) = organisation(plan).await;
        let (_, first) = create(&app, "bob").await;
        let (_, second) = create(&app, "bob").await;
        let (_, other) = create(&app, "eve").await;
        let calls = async |token: &str| {
            let request = request("GET", "/calls", token, None);
            send(app.clone(), request).await
        };
        let mut rejected = None;
        // The budget refills during the test, so it takes more than 10 requests to use it up.
        for _ in 0..200 {
            let response = calls(&first).await;
            if response.status == StatusCode::TOO_MANY_REQUESTS {
                rejected = Some(response);
                break;
            }
            assert_eq!(response.text, "the calls of acme, for user:bob\n");
        }
        assert_eq!(rejected.is_some(), limited);
        if let Some(rejected) = rejected {
            assert_eq!(rejected.json()["code"], "plan_limit");
            assert!(rejected.header("retry-after").parse::<u64>().unwrap() > 0);
            assert_eq!(calls(&other).await.status, StatusCode::OK);
            // Another key of the same person has the same budget: one request in six seconds.
            let statuses = [calls(&second).await.status, calls(&second).await.status];
            assert!(statuses.contains(&StatusCode::TOO_MANY_REQUESTS));
        }
    }
}
