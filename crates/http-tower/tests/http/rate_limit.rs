//! The limit on the requests of each caller, over HTTP. The unit tests of `rate_limit` cover the
//! refill of a budget, with a clock that they control.

use std::{num::NonZeroU32, time::Duration};

use axum::body::Body;
use http::{Request, StatusCode};
use keywright_core::{Caller, Keywright, Workspace};
use keywright_http_tower::{ApiKeys, AuthLayer, RateLimit};
use serde_json::{Value, json};

use crate::common::{TestResponse, issue, library, request, send};

const MINUTE: Duration = Duration::from_secs(60);

/// Runs a scenario with a service that accepts `limit` requests a minute.
///
/// A budget refills by one request every `60 / limit` seconds of real time. If a scenario takes
/// that long on a busy machine, it runs again with full budgets. So it returns its observations,
/// and the test asserts on those of the last run.
async fn with_limit<T>(limit: u32, scenario: impl AsyncFn(&Keywright, &ApiKeys) -> T) -> T {
    loop {
        let keys = library().await;
        let service = ApiKeys::nested(&keys, "").with_rate_limit(per_minute(limit));
        let refill = keys.issuer().now().saturating_add(MINUTE / limit);
        let observations = scenario(&keys, &service).await;
        if keys.issuer().now() < refill {
            return observations;
        }
    }
}

fn per_minute(limit: u32) -> RateLimit {
    RateLimit::per_minute(NonZeroU32::new(limit).unwrap())
}

/// Creates a key with these permissions. Returns its token.
async fn token(keys: &Keywright, permissions: &str) -> String {
    issue(keys, permissions).await.token.expose().to_owned()
}

async fn call(service: &ApiKeys, method: &str, path: &str, token: &str) -> TestResponse {
    send(service.clone(), request(method, path, token, None)).await
}

/// Lists keys as a caller that the host has authenticated.
async fn list_as(service: &ApiKeys, caller: Caller) -> TestResponse {
    let mut request = Request::get("/").body(Body::empty()).unwrap();
    request.extensions_mut().insert(caller);
    send(service.clone(), request).await
}

fn budget(response: &TestResponse) -> [&str; 3] {
    ["limit", "remaining", "reset"].map(|name| response.header(&format!("x-ratelimit-{name}")))
}

fn statuses<const N: usize>(responses: &[TestResponse; N]) -> [u16; N] {
    responses
        .each_ref()
        .map(|response| response.status.as_u16())
}

#[tokio::test]
async fn a_request_over_the_limit_is_429_with_the_time_to_retry() {
    let [listed, created, rejected] = with_limit(2, async |keys, service| {
        let token = token(keys, "*").await;
        let create = request("POST", "/", &token, Some(&json!({"name": "n"})));
        [
            call(service, "GET", "/", &token).await,
            send(service.clone(), create).await,
            call(service, "GET", "/", &token).await,
        ]
    })
    .await;
    assert_eq!(listed.status, StatusCode::OK);
    assert_eq!(budget(&listed), ["2", "1", "30"]);
    assert_eq!(created.status, StatusCode::CREATED);
    assert_eq!(budget(&created), ["2", "0", "60"]);

    assert_eq!(rejected.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(budget(&rejected), ["2", "0", "60"]);
    assert!((1..=30).contains(&rejected.header("retry-after").parse::<u64>().unwrap()));
    assert_eq!(rejected.header("cache-control"), "no-store");
    let id = rejected.header("x-request-id");
    assert_eq!(
        rejected.json(),
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
async fn a_429_has_the_format_of_rfc_9457_if_the_client_prefers_it() {
    let rejected = with_limit(1, async |keys, service| {
        let token = token(keys, "*").await;
        call(service, "GET", "/", &token).await;
        let mut again = request("GET", "/", &token, None);
        let problem = "application/problem+json".parse().unwrap();
        again.headers_mut().insert("accept", problem);
        send(service.clone(), again).await
    })
    .await;
    assert_eq!(rejected.header("content-type"), "application/problem+json");
    let body = rejected.json();
    assert_eq!(
        (&body["status"], &body["code"]),
        (&json!(429), &json!("rate_limited"))
    );
    assert_eq!(body["title"], "Too Many Requests");
    assert_ne!(rejected.header("retry-after"), "");
}

#[tokio::test]
async fn every_endpoint_but_verify_counts_towards_one_budget_whatever_its_status() {
    let observed: Vec<Value> = with_limit(8, async |keys, service| {
        let issued = issue(keys, "*").await;
        let token = issued.token.expose();
        let path = format!("/{}", issued.key.id);
        let rotate = format!("{path}/rotate");
        let mut observed = Vec::new();
        for (method, path) in [
            ("GET", "/"),
            ("HEAD", "/"),
            ("GET", "/?limit=0"),
            ("GET", &path),
            ("PATCH", &path),
            ("POST", "/"),
            ("POST", &rotate),
            ("DELETE", "/key_0000000000000000"),
            // From here on the budget is empty.
            ("GET", "/"),
            ("HEAD", "/"),
            ("POST", "/"),
            ("DELETE", &path),
        ] {
            let response = call(service, method, path, token).await;
            let [_, remaining, _] = budget(&response);
            observed.push(json!([method, remaining, response.status.as_u16()]));
        }
        let verify = request("POST", "/verify", token, Some(&json!({"key": token})));
        let response = send(service.clone(), verify).await;
        observed.push(json!([budget(&response), response.json()["valid"]]));
        observed
    })
    .await;
    assert_eq!(
        observed,
        [
            json!(["GET", "7", 200]),
            json!(["HEAD", "6", 200]),
            json!(["GET", "5", 400]),
            json!(["GET", "4", 200]),
            json!(["PATCH", "3", 400]),
            json!(["POST", "2", 400]),
            json!(["POST", "1", 201]),
            json!(["DELETE", "0", 404]),
            json!(["GET", "0", 429]),
            json!(["HEAD", "0", 429]),
            json!(["POST", "0", 429]),
            json!(["DELETE", "0", 429]),
            json!([["", "", ""], true]),
        ]
    );
}

#[tokio::test]
async fn a_request_that_needs_no_caller_does_not_count() {
    let responses = with_limit(1, async |keys, service| {
        let token = token(keys, "*").await;
        [
            call(service, "OPTIONS", "/", &token).await,
            call(service, "PUT", "/", &token).await,
            call(service, "GET", "/nowhere", &token).await,
            call(service, "GET", "/", &token).await,
        ]
    })
    .await;
    assert_eq!(statuses(&responses), [204, 405, 404, 200]);
    for response in &responses[..3] {
        assert_eq!(budget(response), ["", "", ""]);
    }
}

#[tokio::test]
async fn neither_another_caller_nor_a_forged_token_spends_the_budget_of_a_caller() {
    let (forged, responses) = with_limit(1, async |keys, service| {
        let (one, other) = (token(keys, "*").await, token(keys, "*").await);
        // The id of one key with the secret of the other.
        let mixed = format!("{}{}", &one[..25], &other[25..]);
        let forged = [
            call(service, "GET", "/", "x").await,
            call(service, "GET", "/", "").await,
            call(service, "GET", "/", &mixed).await,
        ];
        let responses = [
            call(service, "GET", "/", &one).await,
            call(service, "GET", "/", &one).await,
            call(service, "GET", "/", &one).await,
            call(service, "GET", "/", &other).await,
            call(service, "GET", "/", &one).await,
        ];
        (forged, responses)
    })
    .await;
    assert_eq!(statuses(&forged), [401, 401, 401]);
    for response in &forged {
        assert_eq!(budget(response), ["", "", ""]);
    }
    assert_eq!(statuses(&responses), [200, 429, 429, 200, 429]);
}

#[tokio::test]
async fn a_request_without_the_permission_counts() {
    let responses = with_limit(1, async |keys, service| {
        let token = token(keys, "calls:read").await;
        [
            call(service, "GET", "/", &token).await,
            call(service, "GET", "/", &token).await,
        ]
    })
    .await;
    assert_eq!(statuses(&responses), [403, 429]);
    assert_eq!(budget(&responses[0]), ["1", "0", "60"]);
}

#[tokio::test]
async fn callers_without_a_key_share_the_budget_of_their_workspace() {
    let caller =
        |workspace| Caller::new(Workspace::parse(workspace).unwrap(), "*".parse().unwrap());
    let responses = with_limit(1, async |keys, service| {
        let token = token(keys, "*").await;
        [
            list_as(service, caller("acme")).await,
            list_as(service, caller("acme")).await,
            list_as(service, caller("globex")).await,
            // A key of the workspace has a separate budget.
            call(service, "GET", "/", &token).await,
        ]
    })
    .await;
    assert_eq!(statuses(&responses), [200, 429, 200, 200]);
}

#[tokio::test]
async fn a_service_without_a_limit_sends_no_rate_limit_headers() {
    let keys = library().await;
    let token = token(&keys, "*").await;
    let response = call(&ApiKeys::nested(&keys, ""), "GET", "/", &token).await;
    assert_eq!(budget(&response), ["", "", ""]);
}

#[tokio::test]
async fn services_with_clones_of_a_limit_share_its_budgets() {
    let remaining = with_limit(2, async |keys, _| {
        let token = token(keys, "*").await;
        let limit = per_minute(2);
        let mut remaining = Vec::new();
        for _ in 0..2 {
            let auth = AuthLayer::new(keys.verifier().clone());
            let service = ApiKeys::nested(keys, "").with_rate_limit(limit.clone());
            let response = call(&service.with_auth(auth), "GET", "/", &token).await;
            remaining.push(response.header("x-ratelimit-remaining").to_owned());
        }
        remaining
    })
    .await;
    assert_eq!(remaining, ["1", "0"]);
}
