//! List, get, update and revoke.

use std::collections::HashSet;

use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::common::{acme, acme_on, assert_invalid, request, stores};

#[tokio::test]
async fn a_list_is_paged_by_number_and_by_cursor() {
    let (_, client) = acme().await;
    for number in 0..45 {
        client
            .create(json!({"name": format!("key {number}")}))
            .await;
    }
    let response = client.send("GET", "/?page=2&limit=20", None).await;
    assert_eq!(response.status, StatusCode::OK, "{}", response.text);
    let page = response.json();
    assert_eq!(page["data"].as_array().unwrap().len(), 20);
    // The 45 keys, and the key of the client.
    let meta = &page["meta"];
    assert_eq!(
        [
            &meta["page"],
            &meta["limit"],
            &meta["total"],
            &meta["totalPages"]
        ],
        [&json!(2), &json!(20), &json!(46), &json!(3)]
    );
    let newest = client.send("GET", "/", None).await.json();
    // Keys that were created in the same millisecond are ordered by id.
    let order = |key: &Value| (key["created_at"].to_string(), key["id"].to_string());
    let first_page = newest["data"].as_array().unwrap();
    assert!(first_page.iter().map(order).rev().is_sorted());
    assert!(newest["data"][0].get("secret").is_none());

    let mut seen = HashSet::new();
    let mut next = newest["meta"]["nextCursor"].clone();
    for key in newest["data"].as_array().unwrap() {
        seen.insert(key["id"].as_str().unwrap().to_owned());
    }
    while let Some(cursor) = next.as_str() {
        client.create(json!({"name": "meanwhile"})).await;
        let page = client
            .send("GET", &format!("/?limit=20&cursor={cursor}"), None)
            .await
            .json();
        for key in page["data"].as_array().unwrap() {
            assert!(seen.insert(key["id"].as_str().unwrap().to_owned()));
        }
        let members: Vec<&String> = page["meta"].as_object().unwrap().keys().collect();
        assert_eq!(members, ["limit", "nextCursor"]);
        next = page["meta"]["nextCursor"].clone();
    }
    assert_eq!(seen.len(), 46);
}

#[tokio::test]
async fn a_list_is_filtered_by_name_and_status() {
    let (_, client) = acme().await;
    client.create(json!({"name": "Ärger 100%"})).await;
    client
        .create(json!({"name": "expired", "expire_now": true}))
        .await;
    let (paused, _) = client.create(json!({"name": "paused"})).await;
    let pause = Some(json!({"enabled": false}));
    client.send("PATCH", &format!("/{paused}"), pause).await;
    let (revoked, _) = client.create(json!({"name": "gone_"})).await;
    client.send("DELETE", &format!("/{revoked}"), None).await;
    for (query, names) in [
        ("search=%C3%A4RGER", vec!["Ärger 100%"]),
        ("search=0%25", vec!["Ärger 100%"]),
        ("search=_", vec!["gone_"]),
        ("search=%27%22%00", vec![]),
        ("status=expired", vec!["expired"]),
        ("status=revoked", vec!["gone_"]),
        ("status=active", vec!["parent", "Ärger 100%"]),
        ("status=disabled", vec!["paused"]),
        ("status=active&search=g", vec!["Ärger 100%"]),
        (
            "search=",
            vec!["expired", "gone_", "parent", "paused", "Ärger 100%"],
        ),
    ] {
        let response = client.send("GET", &format!("/?{query}"), None).await;
        let page = response.json();
        let mut listed: Vec<&str> = page["data"]
            .as_array()
            .unwrap_or_else(|| unreachable!("{query}: {}", response.text))
            .iter()
            .map(|key| key["name"].as_str().unwrap())
            .collect();
        // Ids of the same millisecond are random, and so is their order.
        listed.sort_unstable();
        assert_eq!(listed, names, "{query}");
        assert_eq!(page["meta"]["total"], names.len(), "{query}");
    }
}

#[tokio::test]
async fn an_invalid_query_is_rejected() {
    let (_, client) = acme().await;
    client.create(json!({"name": "other"})).await;
    let cursor = client.send("GET", "/?limit=1", None).await.json()["meta"]["nextCursor"].clone();
    let cursor = cursor.as_str().unwrap();
    let mut damaged = cursor.to_owned();
    damaged.replace_range(
        3..4,
        if cursor.as_bytes()[3] == b'a' {
            "b"
        } else {
            "a"
        },
    );
    for query in [
        "page=0",
        "page=-1",
        "page=x",
        "page=",
        "page=1.5",
        "page=%2B1",
        "page=99999999999",
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=x",
        "status=dead",
        "status=",
        "owner=",
        "owner=a%20b",
        "owner=%C3%A9",
        &format!("owner={}", "o".repeat(129)),
        "pages=1",
        "page=1&page=1",
        "cursor=",
        "cursor=x",
        &format!("cursor={damaged}"),
        &format!("cursor={cursor}&page=1"),
        &format!("page=1&cursor={cursor}"),
        &format!("cursor={cursor}&search=x"),
        &format!("cursor={cursor}&status=active"),
        &format!("search={}", "x".repeat(10_000)),
        "token=x",
    ] {
        let response = client.send("GET", &format!("/?{query}"), None).await;
        assert_eq!(response.status, StatusCode::BAD_REQUEST, "{query}");
        assert_eq!(response.json()["code"], "validation_failed", "{query}");
    }
    let response = client
        .send("GET", &format!("/?cursor={cursor}"), None)
        .await;
    assert_eq!(response.status, StatusCode::OK);
    let far = client
        .send("GET", "/?page=4294967295&limit=100", None)
        .await;
    assert_eq!(far.json()["data"], json!([]));
}

#[tokio::test]
async fn a_search_of_1024_characters_was_rejected_if_it_had_more_bytes() {
    let (_, client) = acme().await;
    for (count, status) in [(1024, StatusCode::OK), (1025, StatusCode::BAD_REQUEST)] {
        let query = format!("/?search={}", "%C3%A9".repeat(count));
        assert_eq!(client.send("GET", &query, None).await.status, status);
    }
}

#[tokio::test]
async fn an_update_changes_the_given_fields_and_no_others() {
    let (_, client) = acme().await;
    let (id, _) = client
        .create(json!({"name": "old", "metadata": {"a": 1}}))
        .await;
    let path = format!("/{id}");
    let before = client.send("GET", &path, None).await.json();
    let name = "👩‍👩‍👧 مفتاح e\u{301}";
    let renamed = client
        .send("PATCH", &path, Some(json!({"name": name})))
        .await;
    assert_eq!(renamed.status, StatusCode::OK, "{}", renamed.text);
    let mut expected = before.clone();
    expected["name"] = json!(name);
    assert_eq!(renamed.json(), expected);
    let renamed = client
        .send("PATCH", &path, Some(json!({"metadata": {"b": [2]}})))
        .await;
    expected["metadata"] = json!({"b": [2]});
    assert_eq!(renamed.json(), expected);
    assert_eq!(client.send("GET", &path, None).await.json(), expected);
    for body in [
        json!({}),
        json!({"name": ""}),
        json!({"name": null}),
        json!({"name": 1}),
        json!({"name": "n", "environment": "test"}),
        json!({"metadata": []}),
        json!({"name": null, "metadata": null}),
    ] {
        let response = client.send("PATCH", &path, Some(body.clone())).await;
        assert_eq!(response.status, StatusCode::BAD_REQUEST, "{body}");
    }
    assert_eq!(client.send("GET", &path, None).await.json(), expected);
}

#[tokio::test]
async fn a_revoked_key_is_rejected_and_listed_and_cannot_be_changed() {
    let (keys, client) = acme().await;
    let (id, secret) = client.create(json!({"name": "n"})).await;
    let path = format!("/{id}");
    let response = client.send("DELETE", &path, None).await;
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.json(), json!({"message": "API key revoked."}));
    assert!(keys.verifier().verify(secret.as_bytes()).await.is_err());
    assert!(client.send("GET", &path, None).await.json()["revoked_at"].is_string());
    for (method, path, body) in [
        ("DELETE", path.clone(), None),
        ("DELETE", format!("{path}?cascade=true"), None),
        ("PATCH", path.clone(), Some(json!({"name": "x"}))),
        ("POST", format!("{path}/rotate"), None),
    ] {
        let response = client.send(method, &path, body).await;
        assert_eq!(response.status, StatusCode::NOT_FOUND, "{method} {path}");
    }
    for query in [
        "cascade=yes",
        "cascade=",
        "force=true",
        "cascade=true&cascade=true",
    ] {
        let response = client
            .send("DELETE", &format!("{path}?{query}"), None)
            .await;
        assert_eq!(response.status, StatusCode::BAD_REQUEST, "{query}");
    }
}

#[tokio::test]
async fn a_cascade_revokes_all_descendants_and_no_other_key() {
    let (keys, root) = acme().await;
    let client = |token: &str| crate::common::Client::new(&keys, token);
    let (bystander, bystander_secret) = root.create(json!({"name": "bystander"})).await;
    let (top, top_secret) = root.create(json!({"name": "top"})).await;
    let (child, child_secret) = client(&top_secret).create(json!({"name": "child"})).await;
    let rotated = root
        .send("POST", &format!("/{child}/rotate"), None)
        .await
        .json();
    let successor = client(rotated["secret"].as_str().unwrap());
    let (_, below) = successor
        .create(json!({"name": "below the successor"}))
        .await;
    // The cascade continues below a key that is already revoked.
    root.send("DELETE", &format!("/{child}"), None).await;

    let response = root
        .send("DELETE", &format!("/{top}?cascade=true"), None)
        .await;
    assert_eq!(
        response.json(),
        json!({"message": "API key revoked.", "revoked": 3})
    );
    for token in [&top_secret, &child_secret, &successor.token, &below] {
        assert!(keys.verifier().verify(token.as_bytes()).await.is_err());
    }
    for token in [&bystander_secret, &root.token] {
        assert!(keys.verifier().verify(token.as_bytes()).await.is_ok());
    }
    assert_ne!(bystander, top);
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_options_lists_the_methods() {
    let (_, client) = acme().await;
    let (id, _) = client.create(json!({"name": "n"})).await;
    for (path, allow) in [
        ("/".to_owned(), "GET, HEAD, POST, OPTIONS"),
        (format!("/{id}"), "GET, HEAD, PATCH, DELETE, OPTIONS"),
        (format!("/{id}/rotate"), "POST, OPTIONS"),
        ("/self".to_owned(), "GET, HEAD, DELETE, OPTIONS"),
        ("/self/rotate".to_owned(), "POST, OPTIONS"),
        ("/verify".to_owned(), "POST, OPTIONS"),
        ("/events".to_owned(), "GET, HEAD, OPTIONS"),
        ("/report".to_owned(), "GET, HEAD, OPTIONS"),
    ] {
        let options = client.send("OPTIONS", &path, None).await;
        assert_eq!(
            (options.status, options.header("allow")),
            (StatusCode::NO_CONTENT, allow)
        );
        let put = client.send("PUT", &path, None).await;
        assert_eq!(
            (put.status, put.header("allow")),
            (StatusCode::METHOD_NOT_ALLOWED, allow)
        );
        let get = client.send("GET", &path, None).await;
        let head = client.send("HEAD", &path, None).await;
        assert_eq!((head.status, head.text.as_str()), (get.status, ""));
        assert_eq!(head.header("content-length"), get.text.len().to_string());
    }
    for path in [
        "/key_1",
        "/verify/",
        "/events/",
        "/Report",
        "/events/rotate",
        "/self/",
        "/Self",
        "/self/verify",
        "/key_0U5lKtf600000000/rotate/",
        "/0U5lKtf600000000",
    ] {
        assert_eq!(
            client.send("GET", path, None).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    let unknown: Value = client
        .send("GET", "/key_0U5lKtf600000000", None)
        .await
        .json();
    assert_eq!(unknown["code"], "not_found");
}

#[tokio::test]
async fn a_boolean_in_a_query_may_be_written_as_in_json_python_or_c() {
    let (_, client) = acme().await;
    for (value, is_cascade) in [
        ("true", true),
        ("True", true),
        ("1", true),
        ("false", false),
        ("False", false),
        ("0", false),
    ] {
        let (id, _) = client.create(json!({"name": "n"})).await;
        let response = client
            .send("DELETE", &format!("/{id}?cascade={value}"), None)
            .await;
        assert_eq!(response.status, StatusCode::OK, "{value}");
        assert_eq!(
            response.json().get("revoked").is_some(),
            is_cascade,
            "{value}"
        );
    }
    let (id, _) = client.create(json!({"name": "n"})).await;
    for value in ["", "TRUE", "yes", "on", "2", "01", "null"] {
        let response = client
            .send("DELETE", &format!("/{id}?cascade={value}"), None)
            .await;
        assert_invalid(&response, "cascade", "cascade must be true or false", value);
    }
}

#[tokio::test]
async fn a_cascade_in_the_body_of_a_revocation_is_rejected_and_not_ignored() {
    let (_, client) = acme().await;
    let (id, _) = client.create(json!({"name": "n"})).await;
    let path = format!("/{id}");
    let message = "cascade must be a query parameter: ?cascade=true";
    for body in [
        json!({"cascade": true}),
        json!({"cascade": false}),
        json!({"cascade": null}),
    ] {
        let response = client.send("DELETE", &path, Some(body.clone())).await;
        assert_invalid(&response, "cascade", message, &body.to_string());
    }
    let response = client
        .send("DELETE", &path, Some(json!({"reason": "leaked"})))
        .await;
    assert_invalid(&response, "reason", r#"unknown field "reason""#, "reason");
    for body in [json!([]), json!(true)] {
        let response = client.send("DELETE", &path, Some(body)).await;
        assert_eq!(response.json()["code"], "invalid_json");
    }
    // None of them revoked the key.
    assert!(client.send("GET", &path, None).await.json()["revoked_at"].is_null());

    for (media_type, body, status) in [
        (None, "", 200),
        (Some("application/json"), "", 200),
        (Some("application/json"), "{}", 200),
        (Some("application/json"), "null", 200),
        (None, "{}", 200),
        (Some("text/plain"), "x", 415),
    ] {
        let (id, _) = client.create(json!({"name": "n"})).await;
        let mut request = request("DELETE", &format!("/{id}"), &client.token, None);
        *request.body_mut() = body.into();
        if let Some(media_type) = media_type {
            let media_type = HeaderValue::from_static(media_type);
            request.headers_mut().insert("content-type", media_type);
        }
        let response = client.send_request(request).await;
        assert_eq!(response.status.as_u16(), status, "{media_type:?} {body}");
    }
}

#[tokio::test]
async fn a_search_finds_a_name_in_another_normalisation_form() {
    for (store, _folder) in stores() {
        let (_, client) = acme_on(store).await;
        // A keyboard produces the first form, and macOS the second.
        let names = ["café", "CAFE\u{301}"];
        for name in names {
            client.create(json!({"name": name})).await;
        }
        for search in ["caf%C3%A9", "cafe%CC%81", "CAF%C3%89"] {
            let response = client
                .send("GET", &format!("/?search={search}"), None)
                .await;
            let page = response.json();
            assert_eq!(page["meta"]["total"], 2, "{search}");
            // The names are unchanged. Keys of one millisecond are in no particular order.
            for name in names {
                let has_name = |key: &Value| key["name"] == name;
                assert!(
                    page["data"].as_array().unwrap().iter().any(has_name),
                    "{page}"
                );
            }
        }
    }
}
