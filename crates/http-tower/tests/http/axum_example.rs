//! The axum example.

#[path = "../../examples/axum.rs"]
#[expect(dead_code, reason = "the example's main is not called")]
mod example;

use crate::common::{issue, library, send};
use axum::body::Body;
use http::{Request, StatusCode};

#[tokio::test]
async fn a_key_created_over_http_is_accepted_by_the_guarded_route() {
    let keys = library().await;
    let app = example::app(&keys).unwrap();
    let first = issue(&keys, "*").await;
    let mut request = crate::common::post(
        first.token.expose(),
        r#"{"name":"r","permissions":["calls:read"]}"#,
    );
    *request.uri_mut() = "/v1/api-keys".parse().unwrap();
    let created = send(app.clone(), request).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let id = created.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(created.header("location"), format!("/v1/api-keys/{id}"));

    let calls = |token: String| {
        let request = Request::get("/calls").header("authorization", format!("Bearer {token}"));
        send(app.clone(), request.body(Body::empty()).unwrap())
    };
    let response = calls(created.json()["secret"].as_str().unwrap().to_owned()).await;
    assert_eq!(response.text, "the calls of acme");
    let other = issue(&keys, "billing:read").await;
    assert_eq!(
        calls(other.token.expose().to_owned()).await.status,
        StatusCode::FORBIDDEN
    );
}
