//! The rate limit of the server.

use tempfile::tempdir;

use crate::support::{Answer, Server, keywright, operator_key};

fn list(server: &Server, token: &str) -> Answer {
    server.send("GET", "/v1/api-keys", token, "")
}

#[test]
fn the_sixth_request_of_a_minute_is_refused_and_nobody_else_is() {
    let folder = tempdir().unwrap();
    let [token, other] =
        std::array::from_fn(|_| operator_key(folder.path(), &["--hash", "hmac-sha256"]));
    let server = Server::start(folder.path(), &["--rate-limit", "5"]);
    for remaining in ["4", "3", "2", "1", "0"] {
        let answer = list(&server, &token);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-ratelimit-limit"), "5");
        assert_eq!(answer.header("x-ratelimit-remaining"), remaining);
        let whole: u32 = answer.header("x-ratelimit-reset").parse().unwrap();
        assert!((1..=60).contains(&whole), "{whole}");
    }
    // The paths with and without a slash at the end are one service.
    for path in [
        "/v1/api-keys",
        "/v1/api-keys/",
        "/v1/api-keys/key_0000000000000000",
    ] {
        let refused = server.send("GET", path, &token, "");
        assert_eq!(refused.status, 429);
        assert_eq!(refused.text("code"), "rate_limited");
        assert_eq!(refused.text("requestId"), refused.header("x-request-id"));
        assert_eq!(refused.header("x-ratelimit-limit"), "5");
        assert_eq!(refused.header("x-ratelimit-remaining"), "0");
        assert_eq!(refused.header("x-ratelimit-reset"), "60");
        // One more is let through each 12 seconds.
        let wait: u32 = refused.header("retry-after").parse().unwrap();
        assert!((1..=12).contains(&wait), "{wait}");
    }
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
fn the_limit_is_600_unless_it_is_set_and_0_is_none() {
    let folder = tempdir().unwrap();
    let token = operator_key(folder.path(), &["--hash", "hmac-sha256"]);
    let server = Server::start(folder.path(), &[]);
    assert_eq!(list(&server, &token).header("x-ratelimit-limit"), "600");
    server.stop();
    let mut command = keywright(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
    let server = Server::spawn(command.env("KEYWRIGHT_RATE_LIMIT", "7"));
    assert_eq!(list(&server, &token).header("x-ratelimit-limit"), "7");
    server.stop();
    let server = Server::start(folder.path(), &["--rate-limit", "0"]);
    for _ in 0..20 {
        let answer = list(&server, &token);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-ratelimit-limit"), "");
    }
}
