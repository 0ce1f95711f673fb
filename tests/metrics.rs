//! The metrics of the server, and what they must not contain.

use std::collections::BTreeMap;

use tempfile::tempdir;

use crate::support::{FAST, Server, forge, operator_key, parse, secret_of, wait_for};

/// Scrapes the server. Returns the text, and the value of each series.
fn scrape(server: &Server) -> (String, BTreeMap<String, f64>) {
    let response = server.send("GET", "/metrics", "", "");
    assert_eq!(response.status, 200);
    let content_type = response.header("content-type");
    assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
    let series = response.body.lines().filter(|line| !line.is_empty());
    let series = series.filter(|line| !line.starts_with('#')).map(|line| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    });
    let series = series.collect();
    (response.body, series)
}

/// Scrapes until a condition holds: the library publishes its metrics each second.
fn scrape_until(
    server: &Server,
    holds: impl Fn(&BTreeMap<String, f64>) -> bool,
) -> (String, BTreeMap<String, f64>) {
    wait_for("the metrics are published", || {
        Some(scrape(server)).filter(|(_, series)| holds(series))
    })
}

fn outcome(name: &str) -> String {
    format!("keywright_verifications_total{{outcome=\"{name}\"}}")
}

#[test]
fn the_metrics_count_requests_and_contain_no_text_of_a_client() {
    let folder = tempdir().unwrap();
    let workspace = [&FAST[..], &["--workspace", "tell-tale"]].concat();
    let admin = operator_key(folder.path(), &workspace);
    let server = Server::start(folder.path(), &FAST);
    let (_, before) = scrape(&server);
    for name in [
        "accepted",
        "wrong_secret",
        "revoked",
        "disabled",
        "address_not_allowed",
        "malformed",
    ] {
        assert_eq!(before[&outcome(name)], 0.0, "{name}");
    }
    assert_eq!(before["keywright_instances"], 1.0);
    assert_eq!(before["keywright_cache_hits_total"], 0.0);

    let created = server.create(&admin, r#"{"name":"tell-tale"}"#);
    let token = created.text("secret");
    let (ours, other) = (parse(&admin), parse(&token));
    let wrong = forge(other.environment(), other.id(), &ours.secret());
    assert_eq!(server.whoami(&token).status, 200);
    assert_eq!(server.whoami(&wrong).status, 401);
    assert_eq!(server.whoami("tell-tale").status, 401);
    let path = format!("/v1/api-keys/{}", other.id());
    assert_eq!(server.send("DELETE", &path, &admin, "").status, 200);
    assert_eq!(server.whoami(&token).status, 401);
    // A token in the path, and an unknown method.
    let lost = format!("/{token}?{token}");
    assert_eq!(server.send("GET", &lost, &admin, "").status, 404);
    assert_eq!(server.send("GET", &path, &admin, "").status, 200);
    let rotate = format!("{path}/rotate");
    assert_eq!(server.send("POST", &rotate, &admin, "").status, 404);
    let presented = format!(r#"{{"key":"{token}"}}"#);
    let verify = "/v1/api-keys/verify";
    assert_eq!(server.send("POST", verify, &admin, &presented).status, 200);
    assert_eq!(server.send("TELL-TALE", &lost, &admin, "").status, 404);

    let decided = |series: &BTreeMap<String, f64>| {
        let names = ["keywright_cache_hits_total", "keywright_cache_misses_total"];
        let counted = series
            .iter()
            .filter(|(series, _)| names.iter().any(|name| series.starts_with(name)));
        counted.map(|(_, value)| value).sum::<f64>()
    };
    // A scrape may see a publication of which only some counters have arrived. The misses arrive
    // last.
    let (text, after) = scrape_until(&server, |series| {
        series[&outcome("revoked")] == 2.0 && decided(series) >= 9.0
    });
    assert_eq!(decided(&after), 9.0, "{text}");
    // The requests to create, whoami, revoke, get, rotate and verify.
    assert_eq!(after[&outcome("accepted")], 6.0, "{text}");
    assert_eq!(after[&outcome("wrong_secret")], 1.0, "{text}");
    assert_eq!(after[&outcome("malformed")], 1.0, "{text}");
    assert_eq!(after["keywright_argon2_runs_total"], 0.0, "{text}");
    let requests = "keywright_http_request_duration_seconds_count";
    let by = |method: &str, route: &str, status: u16| {
        after[&format!("{requests}{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}}")]
    };
    assert_eq!(by("GET", "/v1/whoami", 200), 1.0);
    assert_eq!(by("GET", "/v1/whoami", 401), 3.0);
    assert_eq!(by("POST", "/v1/api-keys", 201), 1.0);
    assert_eq!(by("DELETE", "/v1/api-keys/{id}", 200), 1.0);
    assert_eq!(by("GET", "/v1/api-keys/{id}", 200), 1.0);
    assert_eq!(by("POST", "/v1/api-keys/{id}/rotate", 404), 1.0);
    assert_eq!(by("POST", "/v1/api-keys/verify", 200), 1.0);
    assert_eq!(by("GET", "", 404), 1.0);
    assert_eq!(by("OTHER", "", 404), 1.0);

    // On a busy machine the lease may lapse, and a verification then reads the store.
    scrape_until(&server, |series| {
        assert_eq!(server.whoami(&admin).status, 200);
        series["keywright_cache_hits_total"] > after["keywright_cache_hits_total"]
    });

    let (text, _) = scrape(&server);
    for secret in [secret_of(&admin), secret_of(&token)] {
        let mut pieces = (0..=secret.len() - 8).map(|at| &secret[at..at + 8]);
        assert!(!pieces.any(|piece| text.contains(piece)), "{text}");
    }
    for id in [ours.id(), other.id()] {
        assert!(!text.contains(&id.to_string()), "{text}");
    }
    assert!(!text.to_lowercase().contains("tell-tale"), "{text}");
    assert!(!text.contains("key_"), "{text}");
}

#[test]
fn rejections_of_paused_keys_and_of_other_addresses_are_counted() {
    let folder = tempdir().unwrap();
    let admin = operator_key(folder.path(), &FAST);
    let server = Server::start(folder.path(), &FAST);
    let paused = server.create(&admin, r#"{"name":"paused"}"#);
    let body = r#"{"name":"restricted","allowed_ips":["192.0.2.0/24"]}"#;
    let restricted = server.create(&admin, body).text("secret");
    let path = paused.header("location");
    let updated = server.send("PATCH", path, &admin, r#"{"enabled":false}"#);
    assert_eq!(updated.status, 200, "{updated:?}");
    for _ in 0..2 {
        assert_eq!(server.whoami(&paused.text("secret")).status, 401);
    }
    for _ in 0..3 {
        assert_eq!(server.whoami(&restricted).status, 403);
    }
    let (text, series) = scrape_until(&server, |series| {
        series[&outcome("disabled")] >= 2.0 && series[&outcome("address_not_allowed")] >= 3.0
    });
    assert_eq!(series[&outcome("disabled")], 2.0, "{text}");
    assert_eq!(series[&outcome("address_not_allowed")], 3.0, "{text}");
    assert!(!text.contains("192.0.2"), "{text}");
}
