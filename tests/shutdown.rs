//! Stopping.

use std::io::{Read, Write};

use tempfile::tempdir;

use crate::support::{Answer, Server, operator_key};

#[test]
fn what_is_in_flight_is_finished_and_nothing_new_is_taken() {
    for signal in ["TERM", "INT"] {
        let folder = tempdir().unwrap();
        let first = operator_key(folder.path(), &[]);
        let server = Server::start(folder.path(), &["--hash", "hmac-sha256"]);
        let mut stream = server.connect();
        let (head, tail) = (r#"{"name":"#, r#""late"}"#);
        let request = format!(
            "POST /v1/api-keys HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {first}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{head}",
            head.len() + tail.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        // Until another request is answered, the first is with the server.
        assert_eq!(server.whoami(&first).status, 200);
        server.signal(signal);
        while std::net::TcpStream::connect(server.address).is_ok() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        stream.write_all(tail.as_bytes()).unwrap();
        let answer = Answer::read(&mut stream).unwrap();
        assert_eq!(answer.status, 201, "{answer:?}");
        let mut rest = Vec::new();
        assert_eq!(stream.read_to_end(&mut rest).unwrap(), 0);
        let (status, _, log) = server.end();
        assert!(status.success(), "{log}");

        let server = Server::start(folder.path(), &[]);
        assert_eq!(server.whoami(&answer.text("secret")).status, 200);
    }
}

#[test]
fn an_idle_connection_does_not_hold_the_server_up() {
    let folder = tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let mut idle = server.connect();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    assert_eq!(Answer::read(&mut idle).unwrap().status, 200);
    let (status, _, log) = server.stop();
    assert!(status.success(), "{log}");
    assert!(!log.contains("not finished in time"), "{log}");
}

#[test]
fn a_second_signal_stops_at_once_and_says_so() {
    let folder = tempdir().unwrap();
    let first = operator_key(folder.path(), &[]);
    let server = Server::start(folder.path(), &[]);
    let mut stuck = server.connect();
    let request = format!(
        "POST /v1/api-keys HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {first}\r\n\
         content-type: application/json\r\ncontent-length: 9\r\n\r\n{{"
    );
    stuck.write_all(request.as_bytes()).unwrap();
    assert_eq!(server.whoami(&first).status, 200);
    server.signal("INT");
    while std::net::TcpStream::connect(server.address).is_ok() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    server.signal("INT");
    let (status, _, log) = server.end();
    assert!(!status.success());
    assert!(log.contains("stopped at once"), "{log}");
}
