//! The events of changes and the report, over HTTP.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use http::{Request, StatusCode};
use keywright_core::{
    Caller, Config, Environment, Keywright, MemoryStore, Name, NewKey, Prefix, RequestId, Scheme,
    Timestamp, Workspace, testing::ManualClock,
};
use keywright_http_tower::{ApiKeys, AuthLayer, ClientIp, REQUEST_ID};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};

use crate::common::{
    Client, TestResponse, acme, assert_invalid, issue, open, request, send, stores,
};

/// The events that a client lists.
async fn events(client: &Client, query: &str) -> Vec<Value> {
    let response = client.send("GET", &format!("/events?{query}"), None).await;
    assert_eq!(
        response.status,
        StatusCode::OK,
        "{query}: {}",
        response.text
    );
    response.json()["data"].as_array().unwrap().clone()
}

fn operator(workspace: &str) -> Caller {
    let workspace = Workspace::parse(workspace).unwrap();
    Caller::new(workspace, "*".parse().unwrap())
}

/// Sends a request from an address, with an id if it is not empty.
async fn send_from(
    client: &Client,
    (method, path): (&str, &str),
    id: &str,
    body: Option<Value>,
) -> TestResponse {
    let mut request = request(method, path, &client.token, body.as_ref());
    // The address of an IPv4 client at a socket that accepts both.
    let address = ClientIp("::ffff:203.0.113.9".parse().unwrap());
    request.extensions_mut().insert(address);
    if !id.is_empty() {
        request
            .headers_mut()
            .insert(REQUEST_ID, id.parse().unwrap());
    }
    client.send_request(request).await
}

#[tokio::test]
async fn each_change_over_http_leaves_an_event_with_its_actor_request_and_address() {
    for (store, _folder) in stores() {
        let keys = open(store).await;
        let parent = issue(&keys, "*").await;
        let client = Client::new(&keys, parent.token.expose());
        let body = json!({"name": "n", "permissions": ["a:b"], "metadata": {"unlogged": 1}});
        let created = send_from(&client, ("POST", "/"), "create-1", Some(body)).await;
        let id = created.json()["id"].clone();
        let path = format!("/{}", id.as_str().unwrap());
        let body = json!({"enabled": true, "name": "m", "metadata": null});
        let updated = send_from(&client, ("PATCH", &path), "", Some(body)).await;
        let rotate = format!("{path}/rotate");
        let rotated = send_from(&client, ("POST", &rotate), "bad id", None).await;
        let cascade = format!("{path}?cascade=true");
        let revoked = send_from(&client, ("DELETE", &cascade), "revoke-1", None).await;
        let responses = [created, updated, rotated, revoked];
        let ids = responses.each_ref().map(|response| {
            assert!(response.status.is_success(), "{}", response.text);
            response.header("x-request-id").to_owned()
        });
        assert_eq!([&ids[0], &ids[3]], ["create-1", "revoke-1"]);
        assert!(ids[1].starts_with("req_") && ids[2].starts_with("req_"));

        let successor = responses[2].json();
        let kinds = [
            json!({
                "type": "api_key.created",
                "changes": {
                    "name": [null, "n"], "permissions": [null, ["a:b"]], "metadata": "changed",
                },
            }),
            json!({
                "type": "api_key.updated",
                "changes": {"name": ["n", "m"], "metadata": "changed"},
            }),
            json!({"type": "api_key.rotated", "successor_id": successor["id"]}),
            json!({"type": "api_key.revoked", "cascade": true, "count": 2}),
        ];
        let found = events(&client, &format!("key_id={}", id.as_str().unwrap())).await;
        assert_eq!(found.len(), 4, "{found:?}");
        for (kind, request_id) in kinds.iter().zip(&ids) {
            // Events of one millisecond are in no particular order.
            let event = found
                .iter()
                .find(|event| event["request_id"] == **request_id);
            let event = event.unwrap();
            for (name, value) in kind.as_object().unwrap() {
                assert_eq!(event[name], *value, "{event}");
            }
            assert_eq!(event["key_id"], id);
            assert_eq!(event["workspace"], "acme");
            assert_eq!(event["environment"], "live");
            let actor = json!({"type": "key", "id": parent.key.id.to_string()});
            assert_eq!(event["actor"], actor);
            assert_eq!(event["client_ip"], "203.0.113.9");
        }
        // A rejected or repeated request leaves none, and no event has a byte of a token.
        send_from(&client, ("DELETE", &path), "", None).await;
        send_from(&client, ("PATCH", &path), "", Some(json!({"name": "x"}))).await;
        let all = events(&client, "limit=100").await;
        assert_eq!(all.len(), 5);
        let text = json!(all).to_string();
        assert!(!text.contains("unlogged"), "{text}");
        for token in [&client.token, successor["secret"].as_str().unwrap()] {
            let secret = token.rsplit('_').next().unwrap();
            let mut pieces = (0..=secret.len() - 8).map(|at| &secret[at..at + 8]);
            assert!(!pieces.any(|piece| text.contains(piece)), "{text}");
        }
    }
}

#[tokio::test]
async fn a_caller_of_the_host_keeps_the_request_that_the_host_has_set() {
    let (_, client) = acme().await;
    let owned = operator("acme").with_owner("user:ada".parse().unwrap());
    let own = owned
        .clone()
        .with_request_id(RequestId::parse("job-7").unwrap())
        .with_client_ip("198.51.100.1".parse().unwrap());
    for (caller, request_id, address) in [
        (own, "job-7", "198.51.100.1"),
        (owned, "of-the-request", "203.0.113.9"),
    ] {
        let mut create = request("POST", "/", "", Some(&json!({"name": "n"})));
        create.extensions_mut().insert(caller);
        let address_of_connection = ClientIp("203.0.113.9".parse().unwrap());
        create.extensions_mut().insert(address_of_connection);
        let id = "of-the-request".parse().unwrap();
        create.headers_mut().insert(REQUEST_ID, id);
        let created = client.send_request(create).await.json();
        let key = created["id"].as_str().unwrap();
        let event = events(&client, &format!("key_id={key}")).await.remove(0);
        assert_eq!(event["actor"], json!({"type": "host", "owner": "user:ada"}));
        assert_eq!(event["owner"], "user:ada");
        assert_eq!(event["request_id"], request_id);
        assert_eq!(event["client_ip"], address);
    }
}

#[tokio::test]
async fn the_layer_gives_its_caller_the_id_that_the_host_sees_in_the_request() {
    let (keys, client) = acme().await;
    let layer = AuthLayer::new(keys.verifier().clone());
    for id in ["", "safe", "not safe"] {
        let service = layer.layer(service_fn(async |request: Request<Body>| {
            let caller = request.extensions().get::<Caller>().unwrap();
            let id = caller.request_id().unwrap().to_string();
            assert_eq!(request.headers()[REQUEST_ID], *id);
            assert_eq!(caller.client_ip(), Some("192.0.2.1".parse().unwrap()));
            Ok::<_, std::convert::Infallible>(http::Response::new(Body::from(id)))
        }));
        let mut request = request("GET", "/calls", &client.token, None);
        if !id.is_empty() {
            request
                .headers_mut()
                .insert(REQUEST_ID, id.parse().unwrap());
        }
        let address = ClientIp("192.0.2.1".parse().unwrap());
        request.extensions_mut().insert(address);
        let text = send(service.boxed_clone(), request).await.text;
        assert_eq!(text == id, id == "safe", "{text}");
        assert!(text == "safe" || text.starts_with("req_"), "{text}");
    }
}

#[tokio::test]
async fn events_are_listed_in_pages_and_a_cursor_belongs_to_its_list() {
    for (store, _folder) in stores() {
        let keys = open(store).await;
        let root = issue(&keys, "*").await;
        let client = Client::new(&keys, root.token.expose());
        let (id, _) = client.create(json!({"name": "n"})).await;
        for number in 0..4 {
            let name = json!({"name": format!("n{number}")});
            client.send("PATCH", &format!("/{id}"), Some(name)).await;
        }
        for (filter, count) in [(String::new(), 6), (format!("key_id={id}"), 5)] {
            let all = events(&client, &format!("{filter}&limit=100")).await;
            let mut paged = Vec::new();
            let mut cursor = String::new();
            loop {
                let path = format!("/events?limit=2&{filter}{cursor}");
                let page = client.send("GET", &path, None).await.json();
                assert_eq!(page["meta"]["limit"], 2);
                paged.extend(page["data"].as_array().unwrap().clone());
                let Some(next) = page["meta"]["nextCursor"].as_str() else {
                    break;
                };
                cursor = format!("&cursor={next}");
            }
            assert_eq!(paged.len(), count);
            assert_eq!(paged, all);
        }
        let page = client.send("GET", "/events?limit=1", None).await.json();
        let cursor = page["meta"]["nextCursor"].as_str().unwrap();
        let (_, test) = client
            .create(json!({"name": "t", "environment": "test"}))
            .await;
        let other = operator("other");
        let new = NewKey::new(Name::parse("stranger").unwrap());
        let stranger = keys.issuer().create(&other, new).await.unwrap();
        let message = "cursor does not belong to this list";
        for (token, path) in [
            (
                client.token.as_str(),
                format!("/events?key_id={id}&cursor={cursor}"),
            ),
            (
                &client.token,
                format!("/events?owner=user:a&cursor={cursor}"),
            ),
            // A cursor of events in a list of keys and in a report.
            (&client.token, format!("/?cursor={cursor}")),
            (&client.token, format!("/report?cursor={cursor}")),
            (&test, format!("/events?cursor={cursor}")),
            (stranger.token.expose(), format!("/events?cursor={cursor}")),
        ] {
            let response = Client::new(&keys, token).send("GET", &path, None).await;
            assert_invalid(&response, "cursor", message, &path);
        }
    }
}

#[tokio::test]
async fn an_event_is_visible_only_to_callers_that_see_its_key() {
    for (store, _folder) in stores() {
        let keys = open(store).await;
        let owned = |owner: &str| operator("acme").with_owner(owner.parse().unwrap());
        let new = || NewKey::new(Name::parse("n").unwrap());
        let mut ids = Vec::new();
        for caller in [
            owned("user:ada"),
            owned("user:bob"),
            owned("user:ada").with_environment(Environment::Test),
            operator("other").with_owner("user:ada".parse().unwrap()),
        ] {
            let issued = keys.issuer().create(&caller, new()).await.unwrap();
            ids.push(issued.key.id.to_string());
        }
        let visible = async |caller: &Caller, query: &str| {
            let mut list = request("GET", &format!("/events?{query}"), "", None);
            list.extensions_mut().insert(caller.clone());
            let response = send(ApiKeys::nested(&keys, ""), list).await;
            assert_eq!(response.status, StatusCode::OK, "{}", response.text);
            let events = response.json()["data"].as_array().unwrap().clone();
            let mut keys: Vec<usize> = events
                .iter()
                .map(|event| ids.iter().position(|id| event["key_id"] == **id).unwrap())
                .collect();
            keys.sort_unstable();
            keys
        };
        let acme = operator("acme");
        let own = Caller::new(
            acme.workspace().clone(),
            "api_keys.own:read".parse().unwrap(),
        )
        .with_owner("user:ada".parse().unwrap());
        let test = acme.clone().with_environment(Environment::Test);
        for (caller, all, of_ada) in [
            (&acme, vec![0, 1, 2], vec![0, 2]),
            (&own, vec![0, 2], vec![0, 2]),
            (&test, vec![2], vec![2]),
            (&operator("other"), vec![3], vec![3]),
        ] {
            assert_eq!(visible(caller, "").await, all);
            assert_eq!(visible(caller, "owner=user:ada").await, of_ada);
            for (key, id) in ids.iter().enumerate() {
                let found = visible(caller, &format!("key_id={id}")).await;
                let expected = if all.contains(&key) {
                    vec![key]
                } else {
                    vec![]
                };
                assert_eq!(found, expected);
            }
            assert!(
                visible(caller, "key_id=key_0U5lKtf600000000")
                    .await
                    .is_empty()
            );
            assert!(visible(caller, "owner=user:eve").await.is_empty());
        }
        assert!(visible(&own, "owner=user:bob").await.is_empty());
    }
}

#[tokio::test]
async fn an_invalid_query_of_events_or_a_report_is_rejected_and_not_repeated() {
    let (_, client) = acme().await;
    let token = client.token.clone();
    let key_id = "key_id must be key_ followed by 16 ASCII letters and digits";
    let owner = "owner must be 1 to 128 visible ASCII characters";
    let limit = "limit must be a whole number from 1 to 100";
    let cursor = "cursor does not belong to this list";
    let unknown = "unknown query parameter";
    let mut cases = vec![
        (format!("/events?key_id={token}"), "key_id", key_id),
        (format!("/events?cursor={token}"), "cursor", cursor),
        (format!("/events?{token}=1"), "", unknown),
        (format!("/report?cursor={token}"), "cursor", cursor),
        (format!("/report?{token}"), "", unknown),
    ];
    for (query, field, message) in [
        ("key_id=", "key_id", key_id),
        ("key_id=key_0U5lKtf60000000", "key_id", key_id),
        ("key_id=evt_0U5lKtf600000000", "key_id", key_id),
        ("key_id=key_0U5lKtf600000000%00", "key_id", key_id),
        ("key_id=key_%C3%84%C3%84%C3%84%C3%84", "key_id", key_id),
        ("key_id='%20OR%201=1--", "key_id", key_id),
        ("owner=", "owner", owner),
        ("owner=a%20b", "owner", owner),
        ("owner=%C3%A9", "owner", owner),
        ("limit=0", "limit", limit),
        ("limit=101", "limit", limit),
        ("limit=", "limit", limit),
        ("cursor=", "cursor", cursor),
        ("cursor=%00", "cursor", cursor),
        ("page=1", "", unknown),
        ("search=x", "", unknown),
        ("limit=1&limit=1", "limit", "duplicate query parameter"),
        ("owner=%FF", "", "the query must be UTF-8"),
    ] {
        cases.push((format!("/events?{query}"), field, message));
    }
    cases.push(("/report?limit=1".into(), "", unknown));
    cases.push((
        format!("/report?cursor={}", "x".repeat(5_000)),
        "cursor",
        cursor,
    ));
    for (path, field, message) in cases {
        let response = client.send("GET", &path, None).await;
        assert_invalid(&response, field, message, &path);
        let secret = token.rsplit('_').next().unwrap();
        assert!(!response.text.contains(secret), "{path}");
    }
    // A token is a valid owner, but no key has it.
    let response = client
        .send("GET", &format!("/events?owner={token}"), None)
        .await;
    let empty = json!({"data": [], "meta": {"limit": 20, "nextCursor": null}});
    assert_eq!(response.json(), empty);
}

#[tokio::test]
async fn without_an_event_log_the_list_is_404_and_changes_are_made() {
    let config = Config::new(Prefix::parse("sk").unwrap())
        .with_scheme(Scheme::HmacSha256)
        .with_event_retention(Duration::ZERO);
    let store = Arc::new(MemoryStore::new());
    let keys = Keywright::open(config, store).await.unwrap();
    let token = issue(&keys, "*").await.token.expose().to_owned();
    let client = Client::new(&keys, &token);
    client.create(json!({"name": "n"})).await;
    for query in ["", "?key_id=key_0U5lKtf600000000"] {
        let response = client.send("GET", &format!("/events{query}"), None).await;
        assert_eq!(response.status, StatusCode::NOT_FOUND);
        assert_eq!(response.json()["code"], "no_event_log");
        assert_eq!(response.json()["message"], "the store keeps no events");
    }
    let report = client.send("GET", "/report", None).await;
    assert_eq!(report.json()["meta"]["keysRead"], 2);
}

#[tokio::test]
async fn a_report_has_the_keys_that_deserve_attention() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let clock = ManualClock::new(Timestamp::parse("2030-01-01T00:00:00Z").unwrap());
    let config = Config::new(Prefix::parse("sk").unwrap())
        .with_scheme(Scheme::HmacSha256)
        .with_clock(clock.clone());
    let keys = Keywright::open(config, Arc::new(MemoryStore::new()))
        .await
        .unwrap();
    let root = Client::new(&keys, issue(&keys, "*").await.token.expose());
    let create = async |name: &str, expires_at: Value| {
        let body = json!({"name": name, "permissions": ["a:b"], "expires_at": expires_at});
        root.create(body).await
    };
    let (_, forgotten) = create("forgotten", json!("2031-01-01T00:00:00Z")).await;
    let (replaced_id, replaced) = create("replaced", json!("2031-01-01T00:00:00Z")).await;
    create("soon", json!("2030-04-20T00:00:00Z")).await;
    create("expired", json!("2030-01-02T00:00:00Z")).await;
    let (revoked, _) = create("revoked", Value::Null).await;
    root.send("DELETE", &format!("/{revoked}"), None).await;
    let verify = async |token: &str| keys.verifier().verify(token.as_bytes()).await.unwrap();
    verify(&forgotten).await;
    clock.advance(100 * DAY);
    let overlap = json!({"expire_previous": 2_592_000, "expires_at": "2031-01-01T00:00:00Z"});
    let rotate = format!("/{replaced_id}/rotate");
    root.send("POST", &rotate, Some(overlap)).await;
    clock.advance(DAY);
    verify(&replaced).await;

    let report = root.send("GET", "/report", None).await.json();
    assert_eq!(report["meta"], json!({"keysRead": 7, "nextCursor": null}));
    let section = |name: &str| {
        let section = &report["sections"][name];
        let keys = section["data"].as_array().unwrap();
        assert_eq!(section["count"], keys.len(), "{name}");
        let names = keys.iter().map(|key| key["name"].as_str().unwrap());
        let mut names: Vec<&str> = names.collect();
        names.sort_unstable();
        names
    };
    assert_eq!(section("never_expire"), ["parent"]);
    assert_eq!(section("expire_soon"), ["replaced", "soon"]);
    // The successor of `replaced` has its name.
    assert_eq!(section("never_used"), ["replaced", "soon"]);
    assert_eq!(section("unused"), ["forgotten"]);
    assert_eq!(section("all_permissions"), ["parent"]);
    assert_eq!(section("replaced_but_used"), ["replaced"]);
    assert!(section("imported_unused").is_empty());
    assert!(!report.to_string().contains("secret"));
    assert_eq!(report["sections"].as_object().unwrap().len(), 7);
}
