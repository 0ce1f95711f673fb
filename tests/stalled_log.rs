//! A log whose reader stalls.

use std::{
    io::{BufReader, Write},
    net::TcpStream,
};

use tempfile::tempdir;

use crate::support::{FAST, Response, Server, wait_for};

const METRIC: &str = "keywright_log_lines_dropped_total ";

/// Sends `GET` on a connection that stays open.
fn get(reader: &mut BufReader<TcpStream>, path: &str) -> Response {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    reader.get_mut().write_all(request.as_bytes()).unwrap();
    Response::read_next(reader).unwrap().unwrap()
}

/// Returns the number of log lines that the server has dropped.
fn dropped(reader: &mut BufReader<TcpStream>) -> u64 {
    let metrics = get(reader, "/metrics").body;
    let value = metrics.lines().find_map(|line| line.strip_prefix(METRIC));
    value.unwrap().parse().unwrap()
}

/// Sends requests, each of which logs a line, until the server has dropped lines.
fn fill(server: &Server) {
    let mut reader = BufReader::new(server.connect());
    let before = dropped(&mut reader);
    wait_for("the server drops lines", || {
        for _ in 0..100 {
            assert_eq!(get(&mut reader, "/healthz").status, 200);
        }
        (dropped(&mut reader) > before).then_some(())
    });
}

#[test]
fn a_log_reader_that_stalls_does_not_stall_the_server() {
    let folder = tempdir().unwrap();
    let mut server = Server::start(folder.path(), &FAST);
    let gate = server.log_gate();
    let stalled = gate.lock().unwrap();
    fill(&server);
    drop(stalled);
    // Once the reader has caught up, the server logs that lines are missing.
    assert!(server.wait_for_log("dropped log lines"));

    let stalled = gate.lock().unwrap();
    fill(&server);
    server.signal("TERM");
    server.wait_for_exit();
    drop(stalled);
    let (status, printed, _) = server.wait();
    assert!(status.success());
    assert_eq!(printed, "");
}
