//! `POST /verify` with a permission and the address of the client.

use http::StatusCode;
use serde_json::{Value, json};

use crate::common::{acme, assert_invalid};

#[tokio::test]
async fn a_verdict_depends_on_the_permission_the_address_and_the_status() {
    let (_, client) = acme().await;
    let body = json!({
        "name": "n", "permissions": ["calls:*"], "allowed_ips": ["192.0.2.0/24", "2001:db8::/32"],
    });
    let (id, token) = client.create(body).await;
    let (_, free) = client
        .create(json!({"name": "n", "permissions": ["calls:*"]}))
        .await;
    let verify = async |body: Value| client.send("POST", "/verify", Some(body)).await.json();
    for (permission, client_ip, code) in [
        (json!("calls:read"), json!("192.0.2.1"), None),
        (json!("calls:*"), json!("::ffff:192.0.2.1"), None),
        (Value::Null, json!("2001:db8::1"), None),
        (
            json!("billing:read"),
            json!("192.0.2.1"),
            Some("INSUFFICIENT_PERMISSION"),
        ),
        (
            json!("*"),
            json!("192.0.2.1"),
            Some("INSUFFICIENT_PERMISSION"),
        ),
        (
            json!("calls:read"),
            json!("198.51.100.1"),
            Some("ADDRESS_NOT_ALLOWED"),
        ),
        (
            json!("calls:read"),
            json!("2001:db9::1"),
            Some("ADDRESS_NOT_ALLOWED"),
        ),
        // A restricted key needs an address.
        (
            json!("calls:read"),
            Value::Null,
            Some("ADDRESS_NOT_ALLOWED"),
        ),
    ] {
        let body = json!({"key": token, "permission": permission, "client_ip": client_ip});
        let verdict = verify(body.clone()).await;
        match code {
            Some(code) => assert_eq!(verdict, json!({"valid": false, "code": code}), "{body}"),
            None => assert_eq!(
                (&verdict["valid"], &verdict["id"]),
                (&json!(true), &json!(id))
            ),
        }
    }
    for client_ip in [Value::Null, json!("198.51.100.1"), json!("::1")] {
        let verdict = verify(json!({"key": free, "client_ip": client_ip})).await;
        assert_eq!(verdict["valid"], true, "{client_ip}");
    }
    // A wrong secret is not found, whatever the address.
    let last = if token.ends_with('0') { '1' } else { '0' };
    let wrong = format!("{}{last}", &token[..token.len() - 1]);
    let verdict = verify(json!({"key": wrong, "client_ip": "198.51.100.1"})).await;
    assert_eq!(verdict["code"], "NOT_FOUND");
    let pause = Some(json!({"enabled": false}));
    client.send("PATCH", &format!("/{id}"), pause).await;
    let verdict = verify(json!({"key": token, "client_ip": "198.51.100.1"})).await;
    assert_eq!(verdict["code"], "DISABLED");
}

#[tokio::test]
async fn a_line_break_at_the_end_of_a_token_is_ignored() {
    let (_, client) = acme().await;
    let (_, token) = client.create(json!({"name": "n"})).await;
    for (text, valid) in [
        (format!("{token}\n"), true),
        (format!("{token}\r\n"), true),
        (format!("{token}\n\n"), false),
        (format!("{token}\r"), false),
        (format!("{token} "), false),
        (format!("\n{token}"), false),
        ("\n".to_owned(), false),
        ("\r\n".to_owned(), false),
    ] {
        let response = client
            .send("POST", "/verify", Some(json!({"key": text})))
            .await;
        assert_eq!(response.json()["valid"], valid, "{text:?}");
    }
}

#[tokio::test]
async fn an_invalid_permission_or_address_is_named_and_not_repeated() {
    let (_, client) = acme().await;
    let syntax =
        "a permission must be * or 1 to 4 segments of a-z 0-9 _ . - joined by :, at most 64 bytes";
    let address = "client_ip must be an IP address";
    for (field, value, message) in [
        ("permission", json!("calls::read"), syntax),
        ("permission", json!(""), syntax),
        (
            "permission",
            json!(["calls:read"]),
            "permission must be a string",
        ),
        ("client_ip", json!("192.0.2.0/24"), address),
        ("client_ip", json!("192.0.2.1:80"), address),
        ("client_ip", json!("[::1]"), address),
        ("client_ip", json!("fe80::1%eth0"), address),
        ("client_ip", json!("localhost"), address),
        ("client_ip", json!(""), address),
        ("client_ip", json!(1), address),
    ] {
        let body = json!({"key": "x", field: value});
        let response = client.send("POST", "/verify", Some(body.clone())).await;
        assert_invalid(&response, field, message, &body.to_string());
        assert_eq!(response.status, StatusCode::BAD_REQUEST);
    }
}
