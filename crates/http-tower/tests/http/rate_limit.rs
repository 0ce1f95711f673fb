//! The limit to how often a caller may ask. A budget fills again in 12 seconds or more, which no
//! test here waits for; what happens then is tested beside the code, with a clock of its own.

use std::num::NonZeroU32;

use axum::body::Body;
use http::{Request, StatusCode};
use keywright_core::{Caller, Keywright, Workspace};
use keywright_http_tower::{ApiKeys, AuthLayer, RateLimit};
use serde_json::json;

use crate::common::{Answer, issue, library, request, send};

/// The endpoints with a limit of a minute.
fn limited(keys: &Keywright, limit: u32) -> ApiKeys {
    let limit = RateLimit::per_minute(NonZeroU32::new(limit).unwrap());
    ApiKeys::nested(keys, "").with_rate_limit(limit)
}

async fn ask(service: &ApiKeys, method: &str, path: &str, token: &str) -> Answer {
    send(service.clone(), request(method, path, token, None)).await
}

/// A list for a caller that the host has signed in.
async fn list_as(service: &ApiKeys, caller: Caller) -> Answer {
    let mut request = Request::get("/").body(Body::empty()).unwrap();
    request.extensions_mut().insert(caller);
    send(service.clone(), request).await
}

fn budget(answer: &Answer) -> [&str; 3] {
    ["limit", "remaining", "reset"].map(|name| answer.header(&format!("x-ratelimit-{name}")))
}

#[tokio::test]
async fn one_request_too_many_is_429_until_the_next_is_let_through() {
    let keys = library().await;
    let token = issue(&keys, "*").await.token.expose().to_owned();
    let service = limited(&keys, 2);
    let first = ask(&service, "GET", "/", &token).await;
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(budget(&first), ["2", "1", "30"]);
    let created = request("POST", "/", &token, Some(&json!({"name": "n"})));
    let created = send(service.clone(), created).await;
    assert_eq!(created.status, StatusCode::CREATED);
    assert_eq!(budget(&created), ["2", "0", "60"]);

    let refused = ask(&service, "GET", "/", &token).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(budget(&refused), ["2", "0", "60"]);
    assert!((1..=30).contains(&refused.header("retry-after").parse::<u64>().unwrap()));
    assert_eq!(refused.header("cache-control"), "no-store");
    let id = refused.header("x-request-id");
    assert_eq!(
        refused.json(),
        json!({
            "statusCode": 429,
            "message": "too many requests; try again later",
            "error": "Too Many Requests",
            "code": "rate_limited",
            "requestId": id,
        })
    );
}

#[tokio::test]
async fn the_refusal_is_told_as_a_problem_to_who_asks_for_one() {
    let keys = library().await;
    let token = issue(&keys, "*").await.token.expose().to_owned();
    let service = limited(&keys, 1);
    ask(&service, "GET", "/", &token).await;
    let mut again = request("GET", "/", &token, None);
    let problem = "application/problem+json".parse().unwrap();
    again.headers_mut().insert("accept", problem);
    let refused = send(service, again).await;
    assert_eq!(refused.header("content-type"), "application/problem+json");
    let body = refused.json();
    assert_eq!(
        (&body["status"], &body["code"]),
        (&json!(429), &json!("rate_limited"))
    );
    assert_eq!(body["title"], "Too Many Requests");
    assert_ne!(refused.header("retry-after"), "");
}

#[tokio::test]
async fn every_endpoint_but_verify_takes_from_one_budget_whatever_it_answers() {
    let keys = library().await;
    let issued = issue(&keys, "*").await;
    let token = issued.token.expose();
    let path = format!("/{}", issued.key.id);
    let rotate = format!("{path}/rotate");
    let service = limited(&keys, 8);
    for (remaining, method, path, status) in [
        ("7", "GET", "/", 200),
        ("6", "HEAD", "/", 200),
        ("5", "GET", "/?limit=0", 400),
        ("4", "GET", &path, 200),
        ("3", "PATCH", &path, 400),
        ("2", "POST", "/", 400),
        ("1", "POST", &rotate, 201),
        ("0", "DELETE", "/key_0000000000000000", 404),
    ] {
        let answer = ask(&service, method, path, token).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}");
        assert_eq!(
            answer.header("x-ratelimit-remaining"),
            remaining,
            "{method} {path}"
        );
    }
    for (method, path) in [
        ("GET", "/"),
        ("HEAD", "/"),
        ("POST", "/"),
        ("DELETE", &path),
    ] {
        let answer = ask(&service, method, path, token).await;
        assert_eq!(
            answer.status,
            StatusCode::TOO_MANY_REQUESTS,
            "{method} {path}"
        );
    }
    let verify = request("POST", "/verify", token, Some(&json!({"key": token})));
    let answer = send(service, verify).await;
    assert_eq!(answer.json()["valid"], true);
    assert_eq!(budget(&answer), ["", "", ""]);
}

#[tokio::test]
async fn what_needs_no_caller_costs_nothing() {
    let keys = library().await;
    let token = issue(&keys, "*").await.token.expose().to_owned();
    let service = limited(&keys, 1);
    for (method, path, status) in [
        ("OPTIONS", "/", 204),
        ("PUT", "/", 405),
        ("GET", "/nowhere", 404),
    ] {
        let answer = ask(&service, method, path, &token).await;
        assert_eq!(answer.status.as_u16(), status);
        assert_eq!(budget(&answer), ["", "", ""]);
    }
    assert_eq!(
        ask(&service, "GET", "/", &token).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn nobody_spends_the_budget_of_others_and_least_of_all_without_a_key() {
    let keys = library().await;
    let [one, other] = [issue(&keys, "*").await, issue(&keys, "*").await];
    let service = limited(&keys, 1);
    let (one, other) = (one.token.expose(), other.token.expose());
    // The right id with another secret.
    let forged = format!("{}{}", &one[..25], &other[25..]);
    for token in ["x", "", &forged] {
        let answer = ask(&service, "GET", "/", token).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(budget(&answer), ["", "", ""]);
    }
    for _ in 0..3 {
        ask(&service, "GET", "/", one).await;
    }
    assert_eq!(
        ask(&service, "GET", "/", other).await.status,
        StatusCode::OK
    );
    assert_eq!(
        ask(&service, "GET", "/", one).await.status,
        StatusCode::TOO_MANY_REQUESTS
    );
}

#[tokio::test]
async fn a_caller_without_the_permission_pays_too() {
    let keys = library().await;
    let reader = issue(&keys, "calls:read").await;
    let service = limited(&keys, 1);
    let first = ask(&service, "GET", "/", reader.token.expose()).await;
    assert_eq!(first.status, StatusCode::FORBIDDEN);
    assert_eq!(budget(&first), ["1", "0", "60"]);
    let second = ask(&service, "GET", "/", reader.token.expose()).await;
    assert_eq!(second.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn callers_that_are_no_keys_share_the_budget_of_their_workspace() {
    let keys = library().await;
    let service = limited(&keys, 1);
    let of = |workspace| Caller::new(Workspace::parse(workspace).unwrap(), "*".parse().unwrap());
    assert_eq!(list_as(&service, of("acme")).await.status, StatusCode::OK);
    assert_eq!(
        list_as(&service, of("acme")).await.status,
        StatusCode::TOO_MANY_REQUESTS
    );
    assert_eq!(list_as(&service, of("globex")).await.status, StatusCode::OK);
    // A key of the workspace has its own.
    let key = issue(&keys, "*").await;
    assert_eq!(
        ask(&service, "GET", "/", key.token.expose()).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn without_a_limit_no_answer_tells_of_one() {
    let keys = library().await;
    let token = issue(&keys, "*").await.token.expose().to_owned();
    let answer = ask(&ApiKeys::nested(&keys, ""), "GET", "/", &token).await;
    assert_eq!(budget(&answer), ["", "", ""]);
}

#[tokio::test]
async fn services_with_one_limit_share_its_budgets() {
    let keys = library().await;
    let token = issue(&keys, "*").await.token.expose().to_owned();
    let limit = RateLimit::per_minute(NonZeroU32::new(2).unwrap());
    for remaining in ["1", "0"] {
        let auth = AuthLayer::new(keys.verifier().clone());
        let service = ApiKeys::nested(&keys, "").with_rate_limit(limit.clone());
        let answer = ask(&service.with_auth(auth), "GET", "/", &token).await;
        assert_eq!(answer.header("x-ratelimit-remaining"), remaining);
    }
}
