//! Invalid bodies, each with its error, and unusual bodies that are valid.

use http::{HeaderValue, StatusCode};
use keywright_core::Keywright;
use serde_json::{Value, json};

use crate::common::{TestResponse, acme, acme_on, assert_invalid, post, request, send, stores};

#[tokio::test]
async fn a_name_is_stored_byte_for_byte_and_found_by_any_part_of_it() {
    for (store, _folder) in stores() {
        let (_, client) = acme_on(store).await;
        for (name, part) in [
            ("👩‍👩‍👧‍👦 🏴󠁧󠁢󠁥󠁮󠁧󠁿", "👩‍👧"),
            ("مفتاح الإنتاج", "الإ"),
            ("\u{202e}gnirts\u{202c}", "\u{202e}GN"),
            ("e\u{301}\u{323} ≠ é", "E\u{301}\u{323}"),
            ("\u{feff}zero\u{200b}width", "O\u{200b}W"),
            ("ÄÖÜ Straße", "öü STRASSE"),
            ("ǅ ΟΔΟΣ İ", "οδος"),
            ("100%_\\'\"`;--", "%_\\'\"`;"),
            ("\u{10ffff}x", "\u{10ffff}"),
            ("<script>&amp;", "<SCRIPT>&"),
        ] {
            let (id, _) = client.create(json!({"name": "before"})).await;
            let path = format!("/{id}");
            let renamed = client
                .send("PATCH", &path, Some(json!({"name": name})))
                .await;
            assert_eq!(renamed.json()["name"], name);
            let body = json!({"name": format!(" {name}\u{2003}")});
            let (created, _) = client.create(body).await;
            for id in [&id, &created] {
                let item = client.send("GET", &format!("/{id}"), None).await;
                assert_eq!(item.json()["name"], name);
            }
            for text in [name, part] {
                let text: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
                let found = client
                    .send("GET", &format!("/?search={text}"), None)
                    .await
                    .json();
                let found = found["data"].as_array().unwrap();
                let mut ids: Vec<&str> = found
                    .iter()
                    .map(|key| key["id"].as_str().unwrap())
                    .collect();
                ids.sort_unstable();
                let mut both = [id.as_str(), &created];
                both.sort_unstable();
                assert_eq!(ids, both, "{name}: {text}");
                assert!(found.iter().all(|key| key["name"] == name));
            }
        }
        // Characters with a meaning in a database query match only themselves.
        for (text, count) in [
            ("%25%25", 0),
            ("%25_", 2),
            ("__", 0),
            ("*", 0),
            ("%27%22%60", 2),
            ("%5C%5C", 0),
            ("%00", 0),
            ("a%00b", 0),
            ("%20%20", 0),
            (&"x".repeat(1024), 0),
        ] {
            let found = client.send("GET", &format!("/?search={text}"), None).await;
            assert_eq!(found.json()["meta"]["total"], count, "{text}");
        }
        for text in ["x".repeat(1025), "x".repeat(10_240), "%C3%84".repeat(1025)] {
            let response = client.send("GET", &format!("/?search={text}"), None).await;
            assert_invalid(
                &response,
                "search",
                "search must be at most 1024 characters",
                "long",
            );
        }
    }
}

#[tokio::test]
async fn an_overlap_that_is_neither_named_nor_a_number_of_seconds_is_rejected() {
    let (keys, client) = acme().await;
    let (id, token) = client.create(json!({"name": "n"})).await;
    let path = format!("/{id}/rotate");
    let before = client.send("GET", &format!("/{id}"), None).await.json();
    let message = "expire_previous must be now, 24h or a number of seconds from 0 to 2592000";
    for value in [
        "-1",
        "1.5",
        "-1.0",
        "2592000.5",
        "3e6",
        "2592001",
        "4294967296",
        "9223372036854775808",
        "18446744073709551616",
        "1e300",
        "true",
        "false",
        "[]",
        "[60]",
        "{}",
        r#"{"seconds":60}"#,
        r#""""#,
        r#""0""#,
        r#""60""#,
        r#""NOW""#,
        r#"" now""#,
        r#""24H""#,
        r#""1h""#,
        r#""24h ""#,
        r#""PT24H""#,
        r#""never""#,
    ] {
        let body = format!(r#"{{"expire_previous":{value}}}"#);
        let response = raw(&keys, "POST", &path, &client.token, &body).await;
        assert_invalid(&response, "expire_previous", message, value);
    }
    for body in [
        r#"{"expire_previous":01}"#,
        r#"{"expire_previous":1e999}"#,
        r#"{"expire_previous":NaN}"#,
        r#"{"expire_previous":+1}"#,
    ] {
        let response = raw(&keys, "POST", &path, &client.token, body).await;
        assert_eq!(
            (response.status, &response.json()["code"]),
            (StatusCode::BAD_REQUEST, &json!("invalid_json")),
            "{body}"
        );
    }
    assert_eq!(
        client.send("GET", &format!("/{id}"), None).await.json(),
        before
    );
    assert!(keys.verifier().verify(token.as_bytes()).await.is_ok());
}

async fn raw(keys: &Keywright, method: &str, path: &str, token: &str, body: &str) -> TestResponse {
    let mut request = post(token, body.to_owned());
    *request.method_mut() = method.parse().unwrap();
    *request.uri_mut() = path.parse().unwrap();
    send(keywright_http_tower::ApiKeys::nested(keys, ""), request).await
}

#[tokio::test]
async fn duplicate_and_unknown_fields_and_parameters_are_rejected_at_every_endpoint() {
    let (keys, client) = acme().await;
    let (id, token) = client
        .create(json!({"name": "n", "metadata": {"a": 1}}))
        .await;
    let key = format!("/{id}");
    let rotate = format!("/{id}/rotate");
    let before = client.send("GET", &key, None).await.json();
    for (method, path, body) in [
        ("PATCH", &key, r#"{"name":"a","name":"a"}"#.to_owned()),
        ("PATCH", &key, r#"{"name":"a","\u006eame":"b"}"#.to_owned()),
        (
            "PATCH",
            &key,
            r#"{"metadata":{"x":{"y":1,"y":1}}}"#.to_owned(),
        ),
        (
            "POST",
            &rotate,
            r#"{"expire_previous":0,"expire_previous":"24h"}"#.to_owned(),
        ),
        (
            "POST",
            &"/verify".to_owned(),
            format!(r#"{{"key":"{token}","key":"x"}}"#),
        ),
    ] {
        let response = raw(&keys, method, path, &client.token, &body).await;
        assert_eq!(response.status, StatusCode::BAD_REQUEST, "{body}");
        let error = response.json();
        assert_eq!(error["code"], "invalid_json", "{body}");
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .starts_with("duplicate field (line 1,")
        );
        assert!(!response.text.contains(&token));
    }
    for field in [
        "environment",
        "workspace",
        "owner",
        "attributes",
        "status",
        "parent_id",
        "predecessor_id",
        "expire_now",
        "id",
        "secret",
        "revoked_at",
        "successor_id",
        "created_at",
        "Name",
    ] {
        let body = json!({"name": "x", field: ["*"]});
        let response = client.send("PATCH", &key, Some(body)).await;
        let message = format!(r#"unknown field "{field}""#);
        assert_invalid(&response, field, &message, field);
    }
    for (method, path) in [
        ("GET", format!("{key}?page=1")),
        ("PATCH", format!("{key}?name=x")),
        ("DELETE", format!("{key}?cascade=true&cascade=false")),
        ("DELETE", format!("{key}?cascade=TRUE")),
        ("DELETE", format!("{key}?cascade=2")),
        ("DELETE", format!("{key}?Cascade=true")),
        ("POST", format!("{rotate}?expire_previous=now")),
        ("POST", "/?name=x".into()),
        ("POST", "/verify?key=x".into()),
        ("GET", "/?search=a&search=b".into()),
        ("GET", "/?status=active&status=active".into()),
        ("GET", "/?=".into()),
    ] {
        let body = (method != "GET").then(|| json!({"name": "x"}));
        let response = client.send(method, &path, body).await;
        assert_eq!(response.status, StatusCode::BAD_REQUEST, "{method} {path}");
        assert_eq!(
            response.json()["code"],
            "validation_failed",
            "{method} {path}"
        );
    }
    assert_eq!(client.send("GET", &key, None).await.json(), before);
}

#[tokio::test]
async fn a_body_of_16_kib_is_accepted_and_a_longer_one_is_rejected() {
    let (keys, client) = acme().await;
    let fits = format!("{:<16384}", r#"{"name":"n"}"#);
    let response = raw(&keys, "POST", "/", &client.token, &fits).await;
    assert_eq!(response.status, StatusCode::CREATED);
    let (id, _) = client.create(json!({"name": "n"})).await;
    let over = format!("{fits} ");
    for (method, path) in [
        ("POST", "/".to_owned()),
        ("PATCH", format!("/{id}")),
        ("POST", format!("/{id}/rotate")),
        ("POST", "/verify".to_owned()),
    ] {
        let response = raw(&keys, method, &path, &client.token, &over).await;
        assert_eq!(
            response.status,
            StatusCode::PAYLOAD_TOO_LARGE,
            "{method} {path}"
        );
        assert_eq!(
            response.json()["message"],
            "the body must be at most 16 KiB"
        );
    }
}

#[tokio::test]
async fn every_error_has_the_same_content_in_both_formats() {
    let (keys, client) = acme().await;
    let (id, _) = client.create(json!({"name": "n"})).await;
    let rotate = format!("/{id}/rotate");
    assert_eq!(
        client.send("POST", &rotate, None).await.status,
        StatusCode::CREATED
    );
    let (_, powerless) = client.create(json!({"name": "n", "permissions": []})).await;
    let token = client.token.as_str();
    let named = json!({"name": "n"});
    let large = json!({"name": "x".repeat(17_000)});
    for (status, method, path, token, body, header) in [
        (400, "POST", "/", token, Some(&Value::Null), None),
        (400, "GET", "/?page=0&limit=0", token, None, None),
        (401, "GET", "/", "x", None, None),
        (403, "GET", "/", &powerless, None, None),
        (404, "GET", "/key_0U5lKtf600000000", token, None, None),
        (405, "PUT", "/", token, None, None),
        (409, "POST", &rotate, token, None, None),
        (413, "POST", "/", token, Some(&large), None),
        (
            415,
            "POST",
            "/",
            token,
            Some(&named),
            Some(("content-type", "text/plain")),
        ),
        (
            400,
            "POST",
            "/",
            token,
            Some(&named),
            Some(("idempotency-key", "a b")),
        ),
    ] {
        let mut responses = Vec::new();
        for accept in ["application/json", "application/problem+json"] {
            let mut request = request(method, path, token, body);
            let headers = request.headers_mut();
            headers.insert("accept", HeaderValue::from_static(accept));
            headers.insert("x-request-id", HeaderValue::from_static("same"));
            if let Some((name, value)) = header {
                headers.insert(name, HeaderValue::from_static(value));
            }
            let response = send(keywright_http_tower::ApiKeys::nested(&keys, ""), request).await;
            assert_eq!(response.status.as_u16(), status, "{method} {path}");
            assert_eq!(response.header("content-type"), accept);
            responses.push(response);
        }
        let (own, problem) = (responses[0].json(), responses[1].json());
        assert_eq!(problem["type"], "about:blank", "{status}");
        for (ours, theirs) in [
            ("statusCode", "status"),
            ("message", "detail"),
            ("error", "title"),
            ("code", "code"),
            ("requestId", "requestId"),
            ("errors", "errors"),
        ] {
            assert_eq!(own.get(ours), problem.get(theirs), "{status}: {ours}");
            assert!(
                own.get(ours).is_some() || ours == "errors",
                "{status}: {ours}"
            );
        }
        assert_eq!(own["statusCode"], status);
        assert_eq!(responses[0].headers.len(), responses[1].headers.len());
        for name in ["www-authenticate", "allow", "cache-control", "x-request-id"] {
            assert_eq!(
                responses[0].header(name),
                responses[1].header(name),
                "{status}: {name}"
            );
        }
    }
}

#[tokio::test]
async fn every_body_but_an_update_treats_null_for_an_optional_field_as_missing() {
    let (keys, client) = acme().await;
    let mut plain = client
        .send("POST", "/", Some(json!({"name": "n"})))
        .await
        .json();
    let nulls = json!({
        "name": "n", "expire_now": null, "expires_at": null, "permissions": null,
        "environment": null, "metadata": null, "allowed_ips": null,
    });
    let mut created = client.send("POST", "/", Some(nulls)).await.json();
    for unique in ["id", "secret", "created_at"] {
        assert!(created[unique].is_string(), "{created}");
        (plain[unique], created[unique]) = (json!(""), json!(""));
    }
    assert_eq!(created, plain);

    // A rotation without a body, or with any of these, expires the predecessor in a day.
    let (first, _) = client.create(json!({"name": "n"})).await;
    let mut id = first;
    for body in [
        "",
        "{}",
        "null",
        r#"{"expire_previous":null,"expires_at":null}"#,
    ] {
        let path = format!("/{id}/rotate");
        let rotated = raw(&keys, "POST", &path, &client.token, body).await;
        assert_eq!(
            rotated.status,
            StatusCode::CREATED,
            "{body}: {}",
            rotated.text
        );
        let old = client.send("GET", &format!("/{id}"), None).await.json();
        assert_eq!(old["successor_id"], rotated.json()["id"], "{body}");
        assert!(
            old["expires_at"].is_string() && old["revoked_at"].is_null(),
            "{body}: {old}"
        );
        id = rotated.json()["id"].as_str().unwrap().to_owned();
    }

    let path = format!("/{id}");
    // A required field and a required body are still required.
    for (method, path, body, message) in [
        ("POST", "/", "null", "a JSON body is required"),
        ("POST", "/", r#"{"name":null}"#, "name should not be empty"),
        (
            "POST",
            "/verify",
            r#"{"key":null}"#,
            "key should not be empty",
        ),
        ("PATCH", &path, "null", "a JSON body is required"),
        (
            "PATCH",
            &path,
            r#"{"name":null}"#,
            "name cannot be null; leave it out to keep it",
        ),
    ] {
        let response = raw(&keys, method, path, &client.token, body).await;
        assert_eq!(response.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(response.json()["message"], message, "{body}");
    }
    // An unknown field is rejected with any value.
    let response = client
        .send("POST", "/", Some(json!({"name": "n", "x": null})))
        .await;
    assert_invalid(&response, "x", r#"unknown field "x""#, "x");
}

#[tokio::test]
async fn an_update_with_an_unknown_field_names_that_field_and_not_the_name() {
    let (_, client) = acme().await;
    let (id, _) = client.create(json!({"name": "n"})).await;
    let path = format!("/{id}");
    for (body, field, message) in [
        (
            json!({"permission": ["a"]}),
            "permission",
            r#"unknown field "permission""#,
        ),
        (json!({"nam": "x"}), "nam", r#"unknown field "nam""#),
        (
            json!({"metadata": 1}),
            "metadata",
            "metadata must be a JSON object",
        ),
        (json!({}), "", "the body must have at least one field"),
    ] {
        let response = client.send("PATCH", &path, Some(body.clone())).await;
        assert_invalid(&response, field, message, &body.to_string());
    }
}
