//! More connections than the server accepts.

use std::{
    io::{BufReader, Write},
    iter,
    net::TcpStream,
    time::Duration,
};

use tempfile::tempdir;

use crate::support::{FAST, Response, Server, Times, get, now, operator_key, wait_for};

/// With this limit of open files, the server accepts [`CONNECTIONS`] connections.
const OPEN_FILES: u32 = 110;
const CONNECTIONS: usize = 10;

const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

const BODY: &str = r#"{"name":"n"}"#;

/// Opens as many connections as the server accepts, each with a request whose body is missing.
fn occupy(server: &Server, token: &str) -> Vec<TcpStream> {
    let start = || server.start_create(token, BODY.len());
    iter::repeat_with(start).take(CONNECTIONS).collect()
}

/// Sends the missing bodies. Each request succeeds, so it was in progress all the time.
fn finish(requests: Vec<TcpStream>) {
    for mut request in requests {
        request.write_all(BODY.as_bytes()).unwrap();
        assert_eq!(Response::read(&mut request).unwrap().status, 201);
    }
}

#[test]
fn probes_succeed_while_every_connection_is_in_use() {
    let folder = tempdir().unwrap();
    let first = operator_key(folder.path(), &FAST);
    let server = Server::start_with_open_files(folder.path(), OPEN_FILES, &FAST);
    let requests = occupy(&server, &first);
    // Silent connections do not block the reserved places.
    let _silent: Vec<_> = iter::repeat_with(|| server.connect()).take(40).collect();
    for path in PROBES {
        let probe = get(server.address, path);
        assert_eq!(probe.status, 200, "{path}: {probe:?}");
        assert_eq!(probe.header("connection"), "close", "{path}");
    }
    let rejected = server.send_once("GET", "/v1/whoami", &first, "");
    assert_eq!(rejected.status, 503, "{rejected:?}");
    assert_eq!(rejected.header("retry-after"), "1");
    finish(requests);
    assert_eq!(server.whoami(&first).status, 200);
}

#[test]
fn a_probe_at_the_limit_of_connections_succeeds_within_a_second() {
    let folder = tempdir().unwrap();
    let first = operator_key(folder.path(), &FAST);
    let limit = ["--max-connections", &CONNECTIONS.to_string()];
    let server = Server::start(folder.path(), &[&FAST[..], &limit].concat());
    let requests = occupy(&server, &first);
    let _silent: Vec<_> = iter::repeat_with(|| server.connect()).take(40).collect();
    // On a busy machine, some other program may delay a probe.
    wait_for("each of many probes succeeds within a second", || {
        let times = Times::default();
        let are_fast = iter::repeat_n(PROBES, 20).flatten().all(|path| {
            let sent = now();
            assert_eq!(get(server.address, path).status, 200, "{path}");
            let time = sent.elapsed();
            times.add(time);
            time < Duration::from_secs(1)
        });
        times.print("probes at the limit of connections");
        are_fast.then_some(())
    });
    finish(requests);
}

#[test]
fn idle_connections_make_room_for_new_ones() {
    let folder = tempdir().unwrap();
    let first = operator_key(folder.path(), &FAST);
    let arguments = [&FAST[..], &["--keep-alive", "1h"]].concat();
    let server = Server::start_with_open_files(folder.path(), OPEN_FILES, &arguments);
    let idle = || {
        let mut reader = BufReader::new(server.connect());
        let request = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
        reader.get_mut().write_all(request).unwrap();
        let response = Response::read_next(&mut reader).unwrap().unwrap();
        assert_eq!(response.status, 200);
        reader
    };
    // Each of these stays open, like a proxy's connection.
    let _idle: Vec<_> = iter::repeat_with(idle).take(3 * CONNECTIONS).collect();
    assert_eq!(server.whoami(&first).status, 200);
}

#[test]
fn an_address_for_probes_serves_nothing_else_and_is_never_crowded() {
    let folder = tempdir().unwrap();
    let first = operator_key(folder.path(), &FAST);
    let arguments = [&FAST[..], &["--admin-listen", "127.0.0.1:0"]].concat();
    let server = Server::start_with_open_files(folder.path(), OPEN_FILES, &arguments);
    let admin = server.logged_after("health and metrics on http://");
    let admin = admin.parse().unwrap();
    let document = get(server.address, "/openapi.json").json();
    for path in PROBES {
        assert_eq!(get(server.address, path).status, 404, "{path}");
        assert!(document["paths"][path].is_null(), "{path}");
    }
    for path in ["/v1/whoami", "/v1/api-keys", "/openapi.json"] {
        assert_eq!(get(admin, path).status, 404, "{path}");
    }
    let requests = occupy(&server, &first);
    for path in PROBES {
        assert_eq!(get(admin, path).status, 200, "{path}");
    }
    finish(requests);
}
