//! Stopping the server.

use std::{
    io::{BufReader, Read, Write},
    path::Path,
};

use rusqlite::Connection;

use tempfile::tempdir;

use crate::support::{
    FAST, FAST_UNLIMITED, Redis, Response, Server, get, operator_key, request, wait_for,
};

#[test]
fn requests_in_flight_are_finished_and_new_connections_are_rejected() {
    for signal in ["TERM", "INT"] {
        let folder = tempdir().unwrap();
        let first = operator_key(folder.path(), &[]);
        let server = Server::start(folder.path(), &FAST);
        let body = r#"{"name":"late"}"#;
        let mut stream = server.start_create(&first, body.len());
        server.signal(signal);
        server.wait_until_closed();
        stream.write_all(body.as_bytes()).unwrap();
        let response = Response::read(&mut stream).unwrap();
        assert_eq!(response.status, 201, "{response:?}");
        let mut rest = Vec::new();
        assert_eq!(stream.read_to_end(&mut rest).unwrap(), 0);
        let (status, _, log) = server.wait();
        assert!(status.success(), "{log}");

        let server = Server::start(folder.path(), &[]);
        assert_eq!(server.whoami(&response.text("secret")).status, 200);
    }
}

#[test]
fn an_idle_connection_does_not_delay_the_stop() {
    let folder = tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let mut idle = server.connect();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    assert_eq!(Response::read(&mut idle).unwrap().status, 200);
    let (status, _, log) = server.stop();
    assert!(status.success(), "{log}");
    assert!(!log.contains("did not finish in time"), "{log}");
}

#[test]
fn a_second_signal_stops_at_once_and_logs_it() {
    let folder = tempdir().unwrap();
    let first = operator_key(folder.path(), &[]);
    let server = Server::start(folder.path(), &[]);
    let _in_flight = server.start_create(&first, 9);
    server.signal("INT");
    server.wait_until_closed();
    server.signal("INT");
    let (status, _, log) = server.wait();
    assert!(!status.success());
    assert!(log.contains("stopped at once"), "{log}");
}

/// Returns the status of `/readyz` on a new connection.
fn readyz(server: &Server) -> u16 {
    get(server.address, "/readyz").status
}

/// Whether the server closes a connection after a response, although its client would keep it.
fn closes_after_a_response(server: &Server) -> bool {
    let request = request("GET", "/healthz", "", "", "").replace("connection: close\r\n", "");
    let mut reader = BufReader::new(server.connect());
    reader.get_mut().write_all(request.as_bytes()).unwrap();
    let response = Response::read_next(&mut reader).unwrap().unwrap();
    assert_eq!(response.status, 200);
    response.header("connection") == "close"
}

#[test]
fn a_server_that_stops_is_not_ready_before_it_closes_its_listener() {
    let folder = tempdir().unwrap();
    let first = operator_key(folder.path(), &[]);
    let server = Server::start(folder.path(), &["--shutdown-delay", "1h"]);
    assert_eq!(readyz(&server), 200);
    assert!(!closes_after_a_response(&server));
    server.signal("TERM");
    wait_for("the server is not ready", || {
        (readyz(&server) == 503).then_some(())
    });
    // A proxy does not use its connections again.
    assert!(closes_after_a_response(&server));
    // Requests on new connections still succeed during the delay.
    assert_eq!(get(server.address, "/healthz").status, 200);
    assert_eq!(server.whoami(&first).status, 200);
    let (status, _, log) = server.stop_at_once();
    assert!(!status.success());
    assert!(log.contains("stopped at once"), "{log}");
    assert!(!log.contains("closing the store"), "{log}");
}

#[test]
fn requests_in_flight_are_finished_after_the_delay() {
    let folder = tempdir().unwrap();
    let first = operator_key(folder.path(), &FAST);
    let delay = ["--shutdown-delay", "200ms"];
    let server = Server::start(folder.path(), &[&FAST[..], &delay].concat());
    let body = r#"{"name":"late"}"#;
    let mut stream = server.start_create(&first, body.len());
    server.signal("TERM");
    server.wait_until_closed();
    stream.write_all(body.as_bytes()).unwrap();
    assert_eq!(Response::read(&mut stream).unwrap().status, 201);
    let (status, _, log) = server.wait();
    assert!(status.success(), "{log}");
    let at = |text: &str| log.find(text).unwrap();
    assert!(at("not ready") < at("stopping"), "{log}");
}

/// Creates keys and uses each once, so that the server has last uses to store when it stops.
fn use_keys(server: &Server, first: &str, count: usize) {
    let mut reader = BufReader::new(server.connect());
    let mut send = |request: String| {
        let request = request.replace("connection: close\r\n", "");
        reader.get_mut().write_all(request.as_bytes()).unwrap();
        Response::read_next(&mut reader).unwrap().unwrap()
    };
    for _ in 0..count {
        let create = request("POST", "/v1/api-keys", first, "", r#"{"name":"n"}"#);
        let token = wait_for("the store is available", || {
            let created = send(create.clone());
            (created.status == 201).then(|| created.text("secret"))
        });
        let whoami = request("GET", "/v1/whoami", &token, "", "");
        wait_for("the store is available", || {
            (send(whoami.clone()).status == 200).then_some(())
        });
    }
}

/// Starts a server over Redis that has last uses to store.
fn start_over_redis(folder: &Path, redis: &Redis, count: usize) -> Server {
    let store = ["--store", redis.url.as_str()];
    let first = operator_key(folder, &[&FAST[..], &store].concat());
    let server = Server::start(folder, &[&FAST_UNLIMITED[..], &store].concat());
    use_keys(&server, &first, count);
    server
}

/// Asserts that the server has received a signal, closed its store and logged the error, in this
/// order.
#[track_caller]
fn assert_lost_uses_are_logged(log: &str) {
    let at = |text: &str| {
        log.find(text)
            .unwrap_or_else(|| panic!("no {text:?}: {log}"))
    };
    assert!(at("stopping") < at("closing the store"), "{log}");
    let lost = at("could not store when keys were last used");
    assert!(at("closing the store") < lost, "{log}");
}

#[test]
fn a_stalled_redis_does_not_keep_the_server_from_stopping() {
    let folder = tempdir().unwrap();
    let redis = Redis::start(folder.path(), &["--appendonly", "yes"]);
    // These uses need several calls to the store, whose waiting times must not add up.
    let server = start_over_redis(folder.path(), &redis, 4_000);
    redis.stall();
    server.signal("TERM");
    let (_, _, log) = server.wait_without_hanging();
    assert_lost_uses_are_logged(&log);
}

#[test]
fn a_locked_sqlite_file_does_not_keep_the_server_from_stopping() {
    let folder = tempdir().unwrap();
    let first = operator_key(folder.path(), &FAST);
    let server = Server::start(folder.path(), &FAST_UNLIMITED);
    use_keys(&server, &first, 4_000);
    let other = Connection::open(folder.path().join("keywright.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    server.signal("TERM");
    let (_, _, log) = server.wait_without_hanging();
    assert_lost_uses_are_logged(&log);
}

#[test]
fn a_second_signal_ends_the_server_while_it_closes_the_store() {
    let folder = tempdir().unwrap();
    let redis = Redis::start(folder.path(), &["--appendonly", "yes"]);
    wait_for("the second signal arrives before the server exits", || {
        let mut server = start_over_redis(folder.path(), &redis, 1);
        redis.stall();
        server.signal("TERM");
        if server.wait_for_log("closing the store") {
            server.signal("INT");
        }
        let (status, _, log) = server.wait_without_hanging();
        redis.resume();
        log.contains("a second signal arrived")
            .then(|| assert!(!status.success(), "{log}"))
    });
}
