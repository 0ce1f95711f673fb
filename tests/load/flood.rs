//! More clients than the server accepts connections.

use std::{
    io::{BufReader, ErrorKind, Read, Write},
    iter,
    net::TcpStream,
};

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::{
    client::{Client, Response, connect, request},
    operator,
    program::Program,
    store::Store,
};

/// The number of clients beyond the server's connections.
const WAITING: usize = 100;

/// The length of the head that each client of the flood begins and never ends, in bytes.
const HEAD_LENGTH: usize = 100 * 1024;

/// The maximum memory of the server: each head in a buffer of twice its length, and as much as the
/// server needs without them.
const fn max_kib(connections: usize) -> u64 {
    (connections * 2 * HEAD_LENGTH / 1024 + 100 * 1024) as u64
}

/// Opens more connections than a server accepts under a `ulimit`. Returns the server's warnings.
pub(crate) fn run(store: &Store, ulimit: &str, connections: usize) -> Vec<String> {
    raise_open_files();
    let program = Program::start_with_ulimit(store, ulimit);
    let created = operator::create(store, "default");
    let token = created["secret"].as_str().unwrap();
    let mut regular = Client::connect(program.address);
    whoami(&mut regular, token);
    let before = program.usage();

    let connect = || connect(program.address);
    let mut flood: Vec<TcpStream> = iter::repeat_with(connect).take(connections - 1).collect();
    let full = before.files + flood.len() as u64;
    program.wait_for_files(full);
    whoami(&mut regular, token);
    let waiting: Vec<TcpStream> = iter::repeat_with(|| {
        let mut stream = connect();
        let whoami = request("GET", "/v1/whoami", token, "");
        stream.write_all(whoami.as_bytes()).unwrap();
        stream
    })
    .take(WAITING)
    .collect();
    let head = format!("GET /healthz HTTP/1.1\r\na: {}", "x".repeat(HEAD_LENGTH));
    for stream in &mut flood {
        // The server would close an idle connection, because others wait for one.
        whoami(&mut regular, token);
        // On a slow machine the server may already have closed the connection.
        let _ = stream.write_all(head.as_bytes());
    }
    // A client with a connection is served, and the server can write to its store.
    for number in 0..100 {
        let body = format!(r#"{{"name":"{number}"}}"#);
        let response = regular.send("POST", "/v1/api-keys", token, &body);
        let created = response.expect(201, "create").json();
        whoami(&mut regular, created["secret"].as_str().unwrap());
    }
    let usage = program.usage();
    println!("before: {before}\nfull: {usage}");
    assert!(usage.files <= full, "too many connections: {usage}");
    if is_open(&mut flood[0]) {
        // The oldest connection was open in the meantime, so all were.
        assert_eq!(usage.files, full, "too few connections: {usage}");
    }
    assert!(usage.resident_kib < max_kib(connections), "{usage}");
    // The server closes connections without a request, and accepts the waiting ones.
    for stream in waiting {
        let response = Response::read_next(&mut BufReader::new(stream)).unwrap();
        response.unwrap().expect(200, "a waiting client");
    }
    drop(flood);
    whoami(&mut Client::connect(program.address), token);
    println!("after: {}", program.wait_until_settled(before));
    program.end()
}

fn whoami(client: &mut Client, token: &str) {
    let response = client.send("GET", "/v1/whoami", token, "");
    response.expect(200, "whoami");
}

/// Whether the server has neither sent anything on a connection nor closed it.
fn is_open(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let read = stream.read(&mut [0]);
    read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// Raises the limit of open files of this process, which has one end of every connection.
fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}
