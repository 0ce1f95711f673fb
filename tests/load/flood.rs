//! More clients than the server has places for.

use std::{
    io::{BufReader, Write},
    iter,
    net::TcpStream,
};

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::{
    client::{Answer, Client, connect, request},
    operator,
    program::Program,
    store::Store,
};

/// How many clients there are beyond the places.
const BEYOND: usize = 100;

/// What each of the first sends of a head that it never ends.
const HEAD: usize = 100 * 1024;

/// Most memory that may be in use meanwhile: each head in a buffer that has doubled, and as much again
/// as the server needs by itself.
const fn most_kib(places: usize) -> u64 {
    (places * 2 * HEAD / 1024 + 100 * 1024) as u64
}

/// Fills all places of a server that may have as many files open as `ulimit` says, and more; what the
/// server has complained about.
pub(crate) fn run(store: &Store, ulimit: &str, places: usize) -> Vec<String> {
    allow_many_files();
    let program = Program::start_with_ulimit(store, ulimit);
    let created = operator::create(store, "default");
    let token = created["secret"].as_str().unwrap();
    let mut regular = Client::connect(program.address);
    regular
        .send("GET", "/v1/whoami", token, "")
        .expect(200, "before");
    let before = program.usage();

    let connect = || connect(program.address);
    let mut flood: Vec<TcpStream> = iter::repeat_with(connect).take(places - 1).collect();
    let full = before.files + flood.len() as u64;
    program.await_files(full);
    let late: Vec<TcpStream> = iter::repeat_with(|| {
        let mut stream = connect();
        let whoami = request("GET", "/v1/whoami", token, "");
        stream.write_all(whoami.as_bytes()).unwrap();
        stream
    })
    .take(BEYOND)
    .collect();
    let head = format!("GET /healthz HTTP/1.1\r\na: {}", "x".repeat(HEAD));
    for stream in &mut flood {
        stream.write_all(head.as_bytes()).unwrap();
    }
    // Whoever has a place is served, and the store can be written.
    for number in 0..100 {
        let body = format!(r#"{{"name":"{number}"}}"#);
        let answer = regular.send("POST", "/v1/api-keys", token, &body);
        let new = answer.expect(201, "create").json();
        let new = new["secret"].as_str().unwrap();
        regular
            .send("GET", "/v1/whoami", new, "")
            .expect(200, "whoami");
    }
    let usage = program.usage();
    println!("before: {before}\nfull: {usage}");
    assert_eq!(usage.files, full, "more connections than places");
    assert!(usage.resident_kib < most_kib(places), "{usage}");
    // Those who say nothing are cut off, and those who wait come in.
    for stream in late {
        let answer = Answer::read_next(&mut BufReader::new(stream)).unwrap();
        answer.unwrap().expect(200, "a late one");
    }
    drop(flood);
    let mut regular = Client::connect(program.address);
    regular
        .send("GET", "/v1/whoami", token, "")
        .expect(200, "after");
    println!("after: {}", program.settle(before));
    program.end()
}

/// This process has both ends' worth of connections where the system allows a thousand files.
fn allow_many_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}
