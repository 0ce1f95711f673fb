//! The rate limit of the server.

use std::time::Duration;

use tempfile::tempdir;

use crate::support::{FAST, Response, Server, keywright, now, operator_key, wait_for};

/// How long it takes until the budget of 5 requests a minute allows another request.
const REFILL: Duration = Duration::from_secs(12);

fn list(server: &Server, token: &str) -> Response {
    server.send("GET", "/v1/api-keys", token, "")
}

#[test]
fn the_sixth_request_of_a_minute_is_rejected_and_other_callers_are_not() {
    let folder = tempdir().unwrap();
    let server = Server::start(folder.path(), &["--rate-limit", "5"]);
    let token = wait_for("a budget is spent before it refills", || {
        let token = operator_key(folder.path(), &FAST);
        let started = now();
        let accepted = [(); 5].map(|()| list(&server, &token));
        // The paths with and without a slash at the end are one service.
        let rejected = [
            "/v1/api-keys",
            "/v1/api-keys/",
            "/v1/api-keys/key_0000000000000000",
        ]
        .map(|path| server.send("GET", path, &token, ""));
        if started.elapsed() >= REFILL {
            return None;
        }
        for (response, remaining) in accepted.iter().zip(["4", "3", "2", "1", "0"]) {
            assert_eq!(response.status, 200);
            assert_eq!(response.header("x-ratelimit-limit"), "5");
            assert_eq!(response.header("x-ratelimit-remaining"), remaining);
            let reset: u32 = response.header("x-ratelimit-reset").parse().unwrap();
            assert!((1..=60).contains(&reset), "{reset}");
        }
        for response in &rejected {
            assert_eq!(response.status, 429);
            assert_eq!(response.text("code"), "rate_limited");
            assert_eq!(response.text("requestId"), response.header("x-request-id"));
            assert_eq!(response.header("x-ratelimit-limit"), "5");
            assert_eq!(response.header("x-ratelimit-remaining"), "0");
            assert_eq!(response.header("x-ratelimit-reset"), "60");
            let wait: u64 = response.header("retry-after").parse().unwrap();
            assert!((1..=REFILL.as_secs()).contains(&wait), "{wait}");
        }
        Some(token)
    });
    let other = operator_key(folder.path(), &FAST);
    assert_eq!(list(&server, &other).header("x-ratelimit-remaining"), "4");
    for _ in 0..6 {
        let body = format!(r#"{{"key":"{token}"}}"#);
        let verified = server.send("POST", "/v1/api-keys/verify", &token, &body);
        assert_eq!(verified.status, 200);
        assert_eq!(verified.json()["valid"], true);
        assert_eq!(verified.header("x-ratelimit-limit"), "");
        assert_eq!(server.whoami(&token).status, 200);
    }
}

#[test]
fn the_limit_is_600_by_default_and_0_disables_it() {
    let folder = tempdir().unwrap();
    let token = operator_key(folder.path(), &FAST);
    let server = Server::start(folder.path(), &[]);
    assert_eq!(list(&server, &token).header("x-ratelimit-limit"), "600");
    server.stop();
    let mut command = keywright(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
    let server = Server::spawn(command.env("KEYWRIGHT_RATE_LIMIT", "7"));
    assert_eq!(list(&server, &token).header("x-ratelimit-limit"), "7");
    server.stop();
    let server = Server::start(folder.path(), &["--rate-limit", "0"]);
    for _ in 0..20 {
        let response = list(&server, &token);
        assert_eq!(response.status, 200);
        assert_eq!(response.header("x-ratelimit-limit"), "");
    }
}
