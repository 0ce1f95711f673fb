//! What a subscriber that takes everything is told.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use serde_json::json;
use tracing::{Level, level_filters::LevelFilter, subscriber::set_default};
use tracing_subscriber::fmt::format::FmtSpan;

use crate::common::{Client, acme};

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

    /// The subscriber of this thread, which an answer never leaves.
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
async fn spans_hold_ids_and_outcomes_and_nothing_that_was_sent() {
    let (keys, client) = acme().await;
    let log = Log::default();
    let _guard = log.start(Level::TRACE);

    let name = "a name that nobody logs";
    let body = json!({"name": name, "metadata": {"note": name}});
    let (id, token) = client.create(body.clone()).await;
    let path = format!("/{id}");
    client.ask("GET", "/?search=unlogged", None).await;
    client.ask("PATCH", &path, Some(body)).await;
    let verify = json!({"key": token});
    client.ask("POST", "/verify", Some(verify.clone())).await;
    let rotate = format!("{path}/rotate");
    let successor = client.ask("POST", &rotate, Some(json!({}))).await.json();
    let successor = successor["secret"].as_str().unwrap();
    client.ask("DELETE", &path, None).await;
    let revoked = Client::new(&keys, &token);
    revoked.ask("GET", &path, None).await;
    Client::new(&keys, "unlogged").ask("GET", "/", None).await;

    let text = log.text();
    let spans: Vec<&str> = text.lines().filter(|line| line.contains("close")).collect();
    let told = |parts: &[&str]| {
        let told = spans
            .iter()
            .any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(told, "{parts:?} in {text}");
    };
    let caller = keywright_core::Prefix::parse("sk").unwrap();
    let caller = keywright_core::TokenRef::parse(client.token.as_bytes(), &caller);
    let caller = format!("caller={}", caller.unwrap().id());
    let key = format!("key={id}");
    let all = ["API key operation", &caller, "workspace=acme"];
    told(&[&all[..], &["operation=\"create\"", "status=201"]].concat());
    told(&[&all[..], &["operation=\"list\"", "status=200"]].concat());
    told(&[&all[..], &["operation=\"rename\"", &key, "status=200"]].concat());
    told(&[&all[..], &["operation=\"verify\"", "status=200"]].concat());
    told(&[&all[..], &["operation=\"rotate\"", &key, "status=201"]].concat());
    told(&[&all[..], &["operation=\"revoke\"", &key, "status=200"]].concat());
    told(&["operation=\"find\"", &key, "status=401"]);
    let verification = "API key verification";
    told(&[verification, "workspace=acme", "outcome=\"accepted\""]);
    told(&[verification, &key, "outcome=the key was revoked"]);
    told(&[verification, "outcome=the token is malformed"]);

    assert!(
        !text.contains("unlogged") && !text.contains("nobody logs"),
        "{text}"
    );
    assert!(!text.to_lowercase().contains("bearer"), "{text}");
    for token in [client.token.as_str(), &token, successor] {
        let secret = token.rsplit('_').next().unwrap();
        let mut pieces = (0..=secret.len() - 8).map(|at| &secret[at..at + 8]);
        assert!(!pieces.any(|piece| text.contains(piece)), "{text}");
    }
}

#[tokio::test]
async fn a_host_that_does_not_ask_for_them_keeps_its_own_span_as_it_is() {
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
