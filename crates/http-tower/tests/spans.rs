//! The spans and events that a subscriber of every level receives.
//!
//! These tests run in a separate process, one after another. `tracing` caches whether a span is
//! enabled. If a test without a subscriber is the first to enter a span while another thread has
//! the only subscriber, the span also stays disabled for that thread.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

#[path = "http/common.rs"]
#[expect(dead_code, reason = "these tests need only a part of it")]
mod common;

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use keywright_core::{Caller, Denied, Prefix, TokenRef, Workspace};
use serde_json::json;
use tracing::{Level, level_filters::LevelFilter, subscriber::set_default};
use tracing_subscriber::fmt::format::FmtSpan;

use crate::common::{Client, acme, acme_on, request, stores};

/// Held for the whole of each test.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// Installs a subscriber for this thread, which handles every request of the test.
    fn start(&self, level: Level) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        set_default(
            tracing_subscriber::fmt()
                .with_writer(move || log.clone())
                .with_max_level(LevelFilter::from_level(level))
                .with_span_events(FmtSpan::CLOSE)
                .with_ansi(false)
                .without_time()
                .finish(),
        )
    }
}

#[tokio::test]
async fn spans_contain_ids_and_outcomes_and_no_text_of_the_client() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let (keys, client) = acme().await;
    let log = Log::default();
    let _guard = log.start(Level::TRACE);

    let name = "an unlogged name";
    let body = json!({"name": name, "metadata": {"note": name}});
    let (id, token) = client.create(body.clone()).await;
    let path = format!("/{id}");
    client.send("GET", "/?search=unlogged", None).await;
    client.send("PATCH", &path, Some(body)).await;
    let verify = json!({"key": token});
    client.send("POST", "/verify", Some(verify.clone())).await;
    let rotate = format!("{path}/rotate");
    let successor = client.send("POST", &rotate, Some(json!({}))).await.json();
    let successor = successor["secret"].as_str().unwrap();
    client.send("DELETE", &path, None).await;
    let revoked = Client::new(&keys, &token);
    revoked.send("GET", &path, None).await;
    Client::new(&keys, "unlogged").send("GET", "/", None).await;

    let text = log.text();
    let spans: Vec<&str> = text.lines().filter(|line| line.contains("close")).collect();
    let assert_span = |parts: &[&str]| {
        let found = spans
            .iter()
            .any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(found, "{parts:?} in {text}");
    };
    let prefix = Prefix::parse("sk").unwrap();
    let caller = TokenRef::parse(client.token.as_bytes(), &prefix);
    let caller = format!("caller={}", caller.unwrap().id());
    let key = format!("key={id}");
    let all = ["API key operation", &caller, "workspace=acme"];
    assert_span(&[&all[..], &["operation=\"create\"", "status=201"]].concat());
    assert_span(&[&all[..], &["operation=\"list\"", "status=200"]].concat());
    assert_span(&[&all[..], &["operation=\"update\"", &key, "status=200"]].concat());
    assert_span(&[&all[..], &["operation=\"verify\"", "status=200"]].concat());
    assert_span(&[&all[..], &["operation=\"rotate\"", &key, "status=201"]].concat());
    assert_span(&[&all[..], &["operation=\"revoke\"", &key, "status=200"]].concat());
    assert_span(&["operation=\"get\"", &key, "status=401"]);
    let verification = "API key verification";
    assert_span(&[verification, "workspace=acme", "outcome=\"accepted\""]);
    let outcome = |denied: Denied| format!("outcome={denied}");
    let revoked = outcome(Denied::Revoked(id.parse().unwrap()));
    assert_span(&[verification, &key, &revoked]);
    let malformed = TokenRef::parse(b"unlogged", &prefix).err();
    assert_span(&[
        verification,
        &outcome(Denied::Malformed(malformed.unwrap())),
    ]);

    assert!(!text.contains("unlogged"), "{text}");
    assert!(!text.to_lowercase().contains("bearer"), "{text}");
    for token in [client.token.as_str(), &token, successor] {
        let secret = token.rsplit('_').next().unwrap();
        let mut pieces = (0..=secret.len() - 8).map(|at| &secret[at..at + 8]);
        assert!(!pieces.any(|piece| text.contains(piece)), "{text}");
    }
}

#[tokio::test]
async fn the_span_of_a_host_without_debug_spans_is_unchanged() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let (_keys, client) = acme().await;
    let log = Log::default();
    let _guard = log.start(Level::INFO);
    let span = tracing::info_span!("host", caller = "its own", workspace = "its own");
    let entered = span.enter();
    client.create(json!({"name": "n"})).await;
    drop(entered);
    drop(span);
    let text = log.text();
    assert!(!text.contains("API key operation"), "{text}");
    assert!(!text.contains("workspace=acme workspace"), "{text}");
    let host = text.lines().find(|line| line.contains("close")).unwrap();
    assert!(
        host.contains(r#"caller="its own" workspace="its own"}"#),
        "{host}"
    );
}

#[tokio::test]
async fn each_change_is_one_line_with_its_actor_and_the_id_of_its_response() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let (_keys, client) = acme().await;
    let prefix = Prefix::parse("sk").unwrap();
    let actor = TokenRef::parse(client.token.as_bytes(), &prefix);
    let actor = format!("actor={}", actor.unwrap().id());
    let (id, _) = client.create(json!({"name": "n"})).await;
    for (method, path, body, message) in [
        (
            "POST",
            "/".to_owned(),
            json!({"name": "n"}),
            "API key created",
        ),
        (
            "PATCH",
            format!("/{id}"),
            json!({"name": "m"}),
            "API key updated",
        ),
        (
            "POST",
            format!("/{id}/rotate"),
            json!({}),
            "API key rotated",
        ),
        ("DELETE", format!("/{id}"), json!({}), "API key revoked"),
    ] {
        let log = Log::default();
        let guard = log.start(Level::INFO);
        let response = client.send(method, &path, Some(body)).await;
        drop(guard);
        assert!(response.status.is_success(), "{}", response.text);
        let text = log.text();
        assert_eq!(text.lines().count(), 1, "{text}");
        let request = format!("request_id={}", response.header("x-request-id"));
        for part in ["INFO", message, &actor, &request, "workspace=acme"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}

#[tokio::test]
async fn a_failed_revocation_is_not_logged_as_a_failed_issue() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let [_, (store, folder)] = stores();
    let (_keys, client) = acme_on(store).await;
    let (id, _) = client.create(json!({"name": "n"})).await;
    // The store rejects everything once its file is gone.
    drop(folder);
    let log = Log::default();
    let _guard = log.start(Level::INFO);
    let path = format!("/{id}");
    for (method, operation) in [("DELETE", "revoke"), ("GET", "get"), ("PATCH", "update")] {
        let body = (method == "PATCH").then(|| json!({"name": "m"}));
        let mut request = request(method, &path, "", body.as_ref());
        // The host provides the caller, because the store cannot verify a key.
        let workspace = Workspace::parse("acme").unwrap();
        let caller = Caller::new(workspace, "*".parse().unwrap());
        request.extensions_mut().insert(caller);
        let response = client.send_request(request).await;
        assert_eq!(response.status.as_u16(), 503, "{method}");
        let text = log.text();
        let line = text.lines().last().unwrap();
        for part in [
            "ERROR",
            "API key operation failed",
            &format!("operation=\"{operation}\""),
            &format!("key={id}"),
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
        assert!(!text.contains("issue"), "{text}");
    }
}
