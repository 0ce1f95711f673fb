//! Stopping the server.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use tempfile::tempdir;

use crate::support::{FAST, Response, Server, operator_key};

/// Starts a request on a new connection, and waits until the server reads its body.
fn start_create(server: &Server, token: &str, length: usize) -> TcpStream {
    let mut stream = server.connect();
    let head = format!(
        "POST /v1/api-keys HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\
         expect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(Response::read(&mut stream).unwrap().status, 100);
    stream
}

#[test]
fn requests_in_flight_are_finished_and_new_connections_are_rejected() {
    for signal in ["TERM", "INT"] {
        let folder = tempdir().unwrap();
        let first = operator_key(folder.path(), &[]);
        let server = Server::start(folder.path(), &FAST);
        let body = r#"{"name":"late"}"#;
        let mut stream = start_create(&server, &first, body.len());
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
    assert!(!log.contains("not finished in time"), "{log}");
}

#[test]
fn a_second_signal_stops_at_once_and_logs_it() {
    let folder = tempdir().unwrap();
    let first = operator_key(folder.path(), &[]);
    let server = Server::start(folder.path(), &[]);
    let _in_flight = start_create(&server, &first, 9);
    server.signal("INT");
    server.wait_until_closed();
    server.signal("INT");
    let (status, _, log) = server.wait();
    assert!(!status.success());
    assert!(log.contains("stopped at once"), "{log}");
}
