//! Two workspaces, two environments: what belongs elsewhere does not exist.

use http::StatusCode;
use keywright_core::{Caller, Environment, Keywright, Workspace};
use keywright_http_tower::ApiKeys;
use serde_json::{Value, json};

use crate::common::{Answer, acme, issue, request, send};

async fn ask(
    keys: &Keywright,
    caller: &Caller,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> Answer {
    let mut request = request(method, path, "x", body.as_ref());
    request.extensions_mut().insert(caller.clone());
    send(ApiKeys::nested(keys, ""), request).await
}

#[tokio::test]
async fn a_key_of_elsewhere_is_404_on_every_endpoint_and_never_changes() {
    let (keys, client) = acme().await;
    let (id, secret) = client.create(json!({"name": "mine"})).await;
    let path = format!("/{id}");
    let before = client.ask("GET", &path, None).await.json();
    let other = Workspace::parse("other").unwrap();
    let same = Workspace::parse("acme").unwrap();
    let all = || "*".parse().unwrap();
    for stranger in [
        Caller::new(other, all()),
        Caller::new(same, all()).with_environment(Environment::Test),
    ] {
        for (method, path, body) in [
            ("GET", path.clone(), None),
            ("HEAD", path.clone(), None),
            ("PATCH", path.clone(), Some(json!({"name": "theirs"}))),
            ("DELETE", path.clone(), None),
            ("DELETE", format!("{path}?cascade=true"), None),
            (
                "POST",
                format!("{path}/rotate"),
                Some(json!({"expire_previous": "now"})),
            ),
        ] {
            let answer = ask(&keys, &stranger, method, &path, body).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}");
        }
        for path in ["/", "/?search=mine", "/?status=active"] {
            let listed = ask(&keys, &stranger, "GET", path, None).await.json();
            assert_eq!(
                (&listed["data"], &listed["meta"]["total"]),
                (&json!([]), &json!(0))
            );
        }
        let cursor =
            client.ask("GET", "/?limit=1", None).await.json()["meta"]["next_cursor"].clone();
        let path = format!("/?cursor={}", cursor.as_str().unwrap());
        assert_eq!(
            ask(&keys, &stranger, "GET", &path, None).await.status,
            StatusCode::BAD_REQUEST
        );
    }
    assert_eq!(client.ask("GET", &path, None).await.json(), before);
    assert!(keys.verifier().verify(secret.as_bytes()).await.is_ok());
}

#[tokio::test]
async fn each_endpoint_needs_its_permission() {
    let (keys, client) = acme().await;
    let (id, _) = client.create(json!({"name": "n"})).await;
    let key = format!("/{id}");
    for (permissions, allowed) in [
        ("api_keys:read", "read"),
        ("api_keys:write", "write"),
        ("api_keys:verify", "verify"),
        ("", "nothing"),
        ("calls:*", "nothing"),
    ] {
        let issued = issue(&keys, permissions).await;
        let caller = crate::common::Client::new(&keys, issued.token.expose());
        for (needs, method, path, body) in [
            ("read", "GET", "/".to_owned(), None),
            ("read", "GET", key.clone(), None),
            (
                "verify",
                "POST",
                "/verify".to_owned(),
                Some(json!({"key": "x"})),
            ),
            ("write", "POST", "/".to_owned(), Some(json!({}))),
            ("write", "PATCH", key.clone(), Some(json!({}))),
            ("write", "DELETE", format!("{key}?cascade=no"), None),
            (
                "write",
                "POST",
                format!("{key}/rotate"),
                Some(json!({"expire_previous": "no"})),
            ),
        ] {
            // What is allowed fails later, by its body or query, and changes nothing.
            let answer = caller.ask(method, &path, body).await;
            let refused = answer.status == StatusCode::FORBIDDEN;
            assert_eq!(refused, needs != allowed, "{permissions}: {method} {path}");
            if refused {
                let scope = format!(r#"scope="api_keys:{needs}""#);
                assert!(answer.header("www-authenticate").contains(&scope));
            }
        }
    }
}
