//! Invalid paths and queries, each with its error.

use http::StatusCode;
use keywright_core::IssueError;
use serde_json::{Value, json};

use crate::common::{Client, acme, assert_invalid};

#[tokio::test]
async fn page_and_limit_accept_only_whole_numbers_in_plain_digits() {
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
            let response = client.send("GET", &format!("/?{name}={value}"), None).await;
            assert_invalid(&response, name, message, &value);
        }
        let twice = client
            .send("GET", &format!("/?{name}=1&{name}=1"), None)
            .await;
        assert_invalid(&twice, name, "duplicate query parameter", name);
    }
    for query in [
        "page=4294967295&limit=100",
        "page=2",
        "page=00000000000000000002",
    ] {
        let response = client.send("GET", &format!("/?{query}"), None).await;
        assert_eq!(
            (response.status, &response.json()["data"]),
            (StatusCode::OK, &json!([]))
        );
    }
    let both = client
        .send("GET", "/?page=0&limit=0&status=x&cursor=&z=1", None)
        .await;
    let fields: Vec<Value> = both.json()["errors"].as_array().unwrap().clone();
    let fields: Vec<&Value> = fields.iter().map(|error| &error["field"]).collect();
    assert_eq!(fields, ["page", "limit", "status", ""]);
}

#[tokio::test]
async fn a_cursor_with_any_byte_changed_is_rejected() {
    let (keys, client) = acme().await;
    for name in ["one", "two", "three"] {
        client.create(json!({"name": name})).await;
    }
    let first = client.send("GET", "/?limit=1", None).await.json();
    let cursor = first["meta"]["nextCursor"].as_str().unwrap();
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
    // A cursor without upper-case letters is unchanged by `to_lowercase`.
    damaged.retain(|damaged| damaged.as_str() != cursor);
    let wrong_cursor = IssueError::Cursor.to_string();
    for cursor in &damaged {
        let response = client
            .send("GET", &format!("/?cursor={cursor}"), None)
            .await;
        assert_invalid(&response, "cursor", &wrong_cursor, cursor);
    }
    // An unchanged cursor with another filter, or from a caller that sees fewer keys.
    for filter in ["search=o", "status=active", "status=revoked&search=o"] {
        let response = client
            .send("GET", &format!("/?cursor={cursor}&{filter}"), None)
            .await;
        assert_invalid(&response, "cursor", &wrong_cursor, filter);
    }
    let (_, token) = client
        .create(json!({"name": "t", "environment": "test"}))
        .await;
    let tester = Client::new(&keys, &token);
    let response = tester
        .send("GET", &format!("/?cursor={cursor}"), None)
        .await;
    assert_invalid(&response, "cursor", &wrong_cursor, "test");
    let good = client
        .send("GET", &format!("/?cursor={cursor}&limit=1"), None)
        .await;
    assert_eq!(good.json()["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_malformed_id_is_404() {
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
            let response = client.send(method, &format!("/{wrong}{below}"), body).await;
            assert_eq!(
                response.status,
                StatusCode::NOT_FOUND,
                "{method} {wrong}{below}"
            );
        }
    }
    assert_eq!(
        client.send("GET", &format!("/{id}"), None).await.json()["name"],
        "n"
    );
}

#[tokio::test]
async fn a_query_that_is_not_utf_8_is_rejected_and_never_repaired() {
    let (_, client) = acme().await;
    client.create(json!({"name": "\u{fffd}"})).await;
    for query in [
        "search=%FF",
        "search=%C3",
        "search=%c3%28",
        "search=a%ED%A0%80",
        "%FF=1",
    ] {
        let response = client.send("GET", &format!("/?{query}"), None).await;
        assert_invalid(&response, "", "the query must be UTF-8", query);
    }
    for (query, total) in [
        ("search=%EF%BF%BD", 1),
        ("search=%ef%bf%bd&page=1", 1),
        ("search=%", 0),
        ("search=%F", 0),
        ("search=%+F", 0),
        ("search=%zz", 0),
    ] {
        let response = client.send("GET", &format!("/?{query}"), None).await;
        assert_eq!(response.json()["meta"]["total"], total, "{query}");
    }
}
