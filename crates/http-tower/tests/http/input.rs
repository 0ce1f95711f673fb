//! Bad input, each kind with the one answer that it gets, and odd input that is good.

use http::{HeaderValue, StatusCode};
use keywright_core::Keywright;
use serde_json::{Value, json};

use crate::common::{Answer, Client, acme, acme_over, post, request, send, stores};

/// Asserts that an answer is 400 with one wrong field.
fn assert_wrong(answer: &Answer, field: &str, message: &str, what: &str) {
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{what}");
    let error = answer.json();
    assert_eq!(error["message"], message, "{what}");
    assert_eq!(error["code"], "validation_failed", "{what}");
    assert_eq!(
        error["errors"],
        json!([{"field": field, "message": message}]),
        "{what}"
    );
}

#[tokio::test]
async fn page_and_limit_are_whole_numbers_in_plain_digits() {
    let (_, client) = acme().await;
    for (name, message, beyond) in [
        ("page", "page must be a whole number from 1", "4294967296"),
        ("limit", "limit must be a whole number from 1 to 100", "101"),
    ] {
        for value in [
            "",
            "0",
            "-1",
            "-0",
            "+1",
            "1.0",
            "1e1",
            "0x1",
            "x",
            "1x",
            "%201",
            "1%20",
            "%00",
            "null",
            "true",
            "NaN",
            "Infinity",
            "%D9%A1",
            "18446744073709551616",
            "99999999999999999999999999999999999999",
            beyond,
        ] {
            let value = value.replace('+', "%2B");
            let answer = client.ask("GET", &format!("/?{name}={value}"), None).await;
            assert_wrong(&answer, name, message, &value);
        }
        let twice = client
            .ask("GET", &format!("/?{name}=1&{name}=1"), None)
            .await;
        assert_wrong(&twice, name, "a query parameter is given twice", name);
    }
    for query in [
        "page=4294967295&limit=100",
        "page=2",
        "page=00000000000000000002",
    ] {
        let answer = client.ask("GET", &format!("/?{query}"), None).await;
        assert_eq!(
            (answer.status, &answer.json()["data"]),
            (StatusCode::OK, &json!([]))
        );
    }
    let both = client
        .ask("GET", "/?page=0&limit=0&status=x&cursor=&z=1", None)
        .await;
    let fields: Vec<Value> = both.json()["errors"].as_array().unwrap().clone();
    let fields: Vec<&Value> = fields.iter().map(|error| &error["field"]).collect();
    assert_eq!(fields, ["page", "limit", "status", ""]);
}

#[tokio::test]
async fn a_cursor_that_is_damaged_in_any_byte_is_refused() {
    let (keys, client) = acme().await;
    for name in ["one", "two", "three"] {
        client.create(json!({"name": name})).await;
    }
    let first = client.ask("GET", "/?limit=1", None).await.json();
    let cursor = first["meta"]["next_cursor"].as_str().unwrap();
    let mut damaged = vec![
        cursor.to_lowercase(),
        cursor.repeat(2),
        cursor.repeat(1_000),
    ];
    for (place, old) in cursor.bytes().enumerate() {
        for new in *b"09AZaz-" {
            if new != old {
                let mut bytes = cursor.as_bytes().to_vec();
                bytes[place] = new;
                damaged.push(String::from_utf8(bytes).unwrap());
            }
        }
        damaged.push(cursor[..place].to_owned());
        damaged.push(format!("{}%00{}", &cursor[..place], &cursor[place..]));
    }
    for cursor in &damaged {
        let answer = client.ask("GET", &format!("/?cursor={cursor}"), None).await;
        assert_wrong(&answer, "cursor", "cursor is none of this list", cursor);
    }
    // Whole, but of another filter, or for a caller that sees less.
    for filter in ["search=o", "status=active", "status=revoked&search=o"] {
        let answer = client
            .ask("GET", &format!("/?cursor={cursor}&{filter}"), None)
            .await;
        assert_wrong(&answer, "cursor", "cursor is none of this list", filter);
    }
    let (_, token) = client
        .create(json!({"name": "t", "environment": "test"}))
        .await;
    let tester = Client::new(&keys, &token);
    let answer = tester.ask("GET", &format!("/?cursor={cursor}"), None).await;
    assert_wrong(&answer, "cursor", "cursor is none of this list", "test");
    let good = client
        .ask("GET", &format!("/?cursor={cursor}&limit=1"), None)
        .await;
    assert_eq!(good.json()["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_id_of_a_wrong_shape_is_404() {
    let (_, client) = acme().await;
    let (id, _) = client.create(json!({"name": "n"})).await;
    let bare = id.strip_prefix("key_").unwrap();
    let long = format!("{id}0");
    let encoded = id.replace('_', "%5F");
    let shouted = id.replace("key", "KEY");
    let slash = format!("{id}/");
    let nul = format!("{id}%00");
    let huge = "x".repeat(10_000);
    for wrong in [
        bare,
        &long,
        &encoded,
        &shouted,
        &slash,
        &nul,
        &huge,
        &id[..19],
        "key_",
        "1",
        "-1",
        "null",
        "%2e%2e",
        "..",
        "'%20OR%201=1--",
        "key_000000000000000%FF",
        "key_%C3%84%C3%84%C3%84%C3%84",
    ] {
        for (method, below, body) in [
            ("GET", "", None),
            ("HEAD", "", None),
            ("PATCH", "", Some(json!({"name": "x"}))),
            ("DELETE", "", None),
            ("DELETE", "?cascade=true", None),
            ("POST", "/rotate", None),
        ] {
            let answer = client.ask(method, &format!("/{wrong}{below}"), body).await;
            assert_eq!(
                answer.status,
                StatusCode::NOT_FOUND,
                "{method} {wrong}{below}"
            );
        }
    }
    assert_eq!(
        client.ask("GET", &format!("/{id}"), None).await.json()["name"],
        "n"
    );
}

#[tokio::test]
async fn a_name_is_kept_byte_for_byte_and_found_by_its_parts() {
    for (store, _folder) in stores() {
        let (_, client) = acme_over(store).await;
        for (name, part) in [
            ("👩‍👩‍👧‍👦 🏴󠁧󠁢󠁥󠁮󠁧󠁿", "👩‍👧"),
            ("مفتاح الإنتاج", "الإ"),
            ("\u{202e}gnirts\u{202c}", "\u{202e}GN"),
            ("e\u{301}\u{323} ≠ é", "E\u{301}\u{323}"),
            ("\u{feff}zero\u{200b}width", "O\u{200b}W"),
            ("ÄÖÜ Straße", "öü STRASSE"),
            ("ǅ ΟΔΟΣ İ", "οδος"),
            ("100%_\\'\"`;--", "%_\\'\"`;"),
            ("\u{10ffff}", "\u{10ffff}"),
            ("<script>&amp;", "<SCRIPT>&"),
        ] {
            let (id, _) = client.create(json!({"name": "before"})).await;
            let path = format!("/{id}");
            let renamed = client
                .ask("PATCH", &path, Some(json!({"name": name})))
                .await;
            assert_eq!(renamed.json()["name"], name);
            let body = json!({"name": format!(" {name}\u{2003}")});
            let (created, _) = client.create(body).await;
            for id in [&id, &created] {
                let item = client.ask("GET", &format!("/{id}"), None).await;
                assert_eq!(item.json()["name"], name);
            }
            for text in [name, part] {
                let text: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
                let found = client
                    .ask("GET", &format!("/?search={text}"), None)
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
        // Signs that mean something to a database mean themselves, and find nothing else.
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
            let found = client.ask("GET", &format!("/?search={text}"), None).await;
            assert_eq!(found.json()["meta"]["total"], count, "{text}");
        }
        for text in ["x".repeat(1025), "x".repeat(10_240), "%C3%84".repeat(513)] {
            let answer = client.ask("GET", &format!("/?search={text}"), None).await;
            assert_wrong(
                &answer,
                "search",
                "search must be at most 1024 bytes",
                "long",
            );
        }
    }
}

#[tokio::test]
async fn a_query_that_is_not_utf_8_is_refused_and_not_read_as_something_else() {
    let (_, client) = acme().await;
    client.create(json!({"name": "\u{fffd}"})).await;
    for query in [
        "search=%FF",
        "search=%C3",
        "search=%c3%28",
        "search=a%ED%A0%80",
        "%FF=1",
    ] {
        let answer = client.ask("GET", &format!("/?{query}"), None).await;
        assert_wrong(&answer, "", "the query must be UTF-8", query);
    }
    for (query, total) in [
        ("search=%EF%BF%BD", 1),
        ("search=%ef%bf%bd&page=1", 1),
        ("search=%", 0),
        ("search=%F", 0),
        ("search=%+F", 0),
        ("search=%zz", 0),
    ] {
        let answer = client.ask("GET", &format!("/?{query}"), None).await;
        assert_eq!(answer.json()["meta"]["total"], total, "{query}");
    }
}

#[tokio::test]
async fn an_overlap_of_any_other_kind_is_refused() {
    let (keys, client) = acme().await;
    let (id, token) = client.create(json!({"name": "n"})).await;
    let path = format!("/{id}/rotate");
    let before = client.ask("GET", &format!("/{id}"), None).await.json();
    let message = "expire_previous must be now, 24h or a number of seconds from 0 to 2592000";
    for value in [
        "-1",
        "-0",
        "0.0",
        "1.5",
        "1e3",
        "1E3",
        "86400.0",
        "2592001",
        "4294967296",
        "9223372036854775808",
        "18446744073709551616",
        "1e300",
        "null",
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
        let answer = raw(&keys, "POST", &path, &client.token, &body).await;
        assert_wrong(&answer, "expire_previous", message, value);
    }
    for body in [
        r#"{"expire_previous":01}"#,
        r#"{"expire_previous":1e999}"#,
        r#"{"expire_previous":NaN}"#,
        r#"{"expire_previous":+1}"#,
    ] {
        let answer = raw(&keys, "POST", &path, &client.token, body).await;
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (StatusCode::BAD_REQUEST, &json!("invalid_json")),
            "{body}"
        );
    }
    assert_eq!(
        client.ask("GET", &format!("/{id}"), None).await.json(),
        before
    );
    assert!(keys.verifier().verify(token.as_bytes()).await.is_ok());
}

async fn raw(keys: &Keywright, method: &str, path: &str, token: &str, body: &str) -> Answer {
    let mut request = post(token, body.to_owned());
    *request.method_mut() = method.parse().unwrap();
    *request.uri_mut() = path.parse().unwrap();
    send(keywright_http_tower::ApiKeys::nested(keys, ""), request).await
}

#[tokio::test]
async fn what_is_given_twice_or_cannot_be_changed_is_refused_everywhere() {
    let (keys, client) = acme().await;
    let (id, token) = client
        .create(json!({"name": "n", "metadata": {"a": 1}}))
        .await;
    let key = format!("/{id}");
    let rotate = format!("/{id}/rotate");
    let before = client.ask("GET", &key, None).await.json();
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
        let answer = raw(&keys, method, path, &client.token, &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        let error = answer.json();
        assert_eq!(error["code"], "invalid_json", "{body}");
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .starts_with("a property is given twice (line 1,")
        );
        assert!(!answer.text.contains(&token));
    }
    for field in [
        "permissions",
        "environment",
        "workspace",
        "parent_id",
        "expires_at",
        "expire_now",
        "id",
        "secret",
        "revoked_at",
        "successor_id",
        "created_at",
        "Name",
    ] {
        let body = json!({"name": "x", field: ["*"]});
        let answer = client.ask("PATCH", &key, Some(body)).await;
        let message = format!("property {field} should not exist");
        assert_wrong(&answer, field, &message, field);
    }
    for (method, path) in [
        ("GET", format!("{key}?page=1")),
        ("PATCH", format!("{key}?name=x")),
        ("DELETE", format!("{key}?cascade=true&cascade=false")),
        ("DELETE", format!("{key}?cascade=TRUE")),
        ("DELETE", format!("{key}?cascade=1")),
        ("DELETE", format!("{key}?Cascade=true")),
        ("POST", format!("{rotate}?expire_previous=now")),
        ("POST", "/?name=x".into()),
        ("POST", "/verify?key=x".into()),
        ("GET", "/?search=a&search=b".into()),
        ("GET", "/?status=active&status=active".into()),
        ("GET", "/?=".into()),
    ] {
        let body = (method != "GET").then(|| json!({"name": "x"}));
        let answer = client.ask(method, &path, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{method} {path}");
        assert_eq!(
            answer.json()["code"],
            "validation_failed",
            "{method} {path}"
        );
    }
    assert_eq!(client.ask("GET", &key, None).await.json(), before);
}

#[tokio::test]
async fn a_body_may_have_16_kib_to_the_byte() {
    let (keys, client) = acme().await;
    let fits = format!("{:<16384}", r#"{"name":"n"}"#);
    let answer = raw(&keys, "POST", "/", &client.token, &fits).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let (id, _) = client.create(json!({"name": "n"})).await;
    let over = format!("{fits} ");
    for (method, path) in [
        ("POST", "/".to_owned()),
        ("PATCH", format!("/{id}")),
        ("POST", format!("/{id}/rotate")),
        ("POST", "/verify".to_owned()),
    ] {
        let answer = raw(&keys, method, &path, &client.token, &over).await;
        assert_eq!(
            answer.status,
            StatusCode::PAYLOAD_TOO_LARGE,
            "{method} {path}"
        );
        assert_eq!(answer.json()["message"], "the body must be at most 16 KiB");
    }
}

#[tokio::test]
async fn every_error_comes_in_both_forms_with_the_same_content() {
    let (keys, client) = acme().await;
    let (id, _) = client.create(json!({"name": "n"})).await;
    let rotate = format!("/{id}/rotate");
    assert_eq!(
        client.ask("POST", &rotate, None).await.status,
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
        let mut answers = Vec::new();
        for accept in ["application/json", "application/problem+json"] {
            let mut request = request(method, path, token, body);
            let headers = request.headers_mut();
            headers.insert("accept", HeaderValue::from_static(accept));
            headers.insert("x-request-id", HeaderValue::from_static("same"));
            if let Some((name, value)) = header {
                headers.insert(name, HeaderValue::from_static(value));
            }
            let answer = send(keywright_http_tower::ApiKeys::nested(&keys, ""), request).await;
            assert_eq!(answer.status.as_u16(), status, "{method} {path}");
            assert_eq!(answer.header("content-type"), accept);
            answers.push(answer);
        }
        let (own, problem) = (answers[0].json(), answers[1].json());
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
        assert_eq!(answers[0].headers.len(), answers[1].headers.len());
        for name in ["www-authenticate", "allow", "cache-control", "x-request-id"] {
            assert_eq!(
                answers[0].header(name),
                answers[1].header(name),
                "{status}: {name}"
            );
        }
    }
}
