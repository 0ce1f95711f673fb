//! kill -9 of a server of a fleet, or of its Redis, in the middle of creations, rotations and cascades.
//!
//! `KEYWRIGHT_TEST_ROUNDS=300 cargo test --test stories fleet_crash` kills more often.

use std::{
    collections::HashMap,
    io::Write,
    net::{SocketAddr, TcpStream},
    path::Path,
    thread,
    time::Duration,
};

use serde_json::Value;
use tempfile::tempdir;

use crate::{
    redis::Redis,
    support::{Answer, PATIENCE, Server, at_last, try_operator_key},
};

/// How often something is killed, unless the environment says otherwise.
const ROUNDS: usize = 15;

/// Threads that create, as many that rotate, and as many that revoke families of keys.
const THREADS: usize = 2;

const BODY: &str = r#"{"name":"n"}"#;

/// What a thread has asked for before the crash, and what it was told.
enum Deed {
    Created {
        once: String,
        told: Option<Issued>,
    },
    Rotated {
        old: Issued,
        once: String,
        told: Option<Issued>,
    },
    Revoked {
        root: Issued,
        descendants: Vec<Issued>,
        told: bool,
    },
}

/// A key, and its token.
struct Issued {
    id: String,
    token: String,
}

/// How often a crash has left something that a repeat had to find out.
#[derive(Default, Debug)]
struct Tally {
    acknowledged: usize,
    /// A repeat has found it done.
    done: usize,
    /// A repeat has done it.
    repeated: usize,
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_half_done_when_a_server_is_killed() {
    survive(|_, server| server.kill());
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_half_done_when_redis_is_killed() {
    survive(|redis, _| redis.kill());
}

fn survive(kill: impl Fn(&mut Redis, &mut Server)) {
    let folder = tempdir().unwrap();
    let durable = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut redis = Redis::start(folder.path(), &durable);
    let url = redis.url.clone();
    let options = ["--hash", "hmac-sha256", "--store", &url];
    let serving = [&options[..], &["--rate-limit", "0"]].concat();
    let there = Server::start(folder.path(), &serving);
    let rounds = std::env::var("KEYWRIGHT_TEST_ROUNDS");
    let rounds = rounds.map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let mut tally = [(); 3].map(|()| Tally::default());
    let mut here = Server::start(folder.path(), &serving);
    for round in 0..rounds {
        let workspace = format!("round-{round}");
        let arguments = [&options[..], &["--workspace", &workspace]].concat();
        let admin = operator_key_at_last(folder.path(), &arguments);
        let deeds = thread::scope(|scope| {
            let address = here.address;
            let admin = admin.as_str();
            let threads: Vec<_> = (0..THREADS)
                .flat_map(|number| {
                    [
                        scope.spawn(move || create(address, admin, number)),
                        scope.spawn(move || rotate(address, admin, number)),
                        scope.spawn(move || revoke(address, admin)),
                    ]
                })
                .collect();
            // At another moment of what they do each time.
            thread::sleep(Duration::from_millis(20 + (round as u64 * 37) % 100));
            kill(&mut redis, &mut here);
            let deeds = threads.into_iter();
            let deeds = deeds.flat_map(|thread| thread.join().unwrap());
            deeds.collect::<Vec<Deed>>()
        });
        if TcpStream::connect(redis.address()).is_err() {
            redis.restart();
        }
        drop(here);
        let ready = send(&there, "GET", "/readyz", "");
        assert_eq!(ready.status, 200, "{ready:?}");
        let listed = list(&there, &admin);
        for deed in &deeds {
            check(&there, &admin, deed, &listed, &mut tally);
        }
        here = Server::start(folder.path(), &serving);
    }
    println!("creations, rotations, cascades after {rounds} crashes: {tally:?}");
    assert!(tally.iter().all(|tally| tally.acknowledged > 0));
}

/// Why something is tried again: where the disk is busy, a Redis that syncs each change may keep
/// everybody waiting for longer than a server waits for it, which is no matter of these tests.
const REACHED: &str = "the store that is there is reached";

fn operator_key_at_last(folder: &Path, arguments: &[&str]) -> String {
    at_last(REACHED, || {
        try_operator_key(folder, arguments)
            .inspect_err(|error| assert!(error.contains("unavailable"), "{error}"))
            .ok()
    })
}

/// What a server answers that runs.
fn send(server: &Server, method: &str, path: &str, token: &str) -> Answer {
    at_last(REACHED, || {
        let answer = server.send(method, path, token, "");
        (answer.status != 503).then_some(answer)
    })
}

fn whoami(server: &Server, token: &str) -> u16 {
    send(server, "GET", "/v1/whoami", token).status
}

/// Sends a request to a server that may be dying: `None` unless an answer came whole that tells what
/// has come of it.
fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    token: &str,
    once: Option<&str>,
    body: &str,
) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let once = once.map_or(String::new(), |once| format!("idempotency-key: {once}\r\n"));
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{once}\
         authorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).ok()?;
    Answer::read(&mut stream).filter(|answer| answer.status != 503)
}

/// What an answer with a token has issued.
#[track_caller]
fn issued(answer: &Answer) -> Issued {
    assert_eq!(answer.status, 201, "{answer:?}");
    Issued {
        id: answer.text("id"),
        token: answer.text("secret"),
    }
}

const KEYS: &str = "/v1/api-keys";

fn create(address: SocketAddr, admin: &str, thread: usize) -> Vec<Deed> {
    let mut deeds = Vec::new();
    loop {
        let once = format!("create-{thread}-{}", deeds.len());
        let told = ask(address, "POST", KEYS, admin, Some(&once), BODY)
            .as_ref()
            .map(issued);
        let ended = told.is_none();
        deeds.push(Deed::Created { once, told });
        if ended {
            return deeds;
        }
    }
}

fn rotate(address: SocketAddr, admin: &str, thread: usize) -> Vec<Deed> {
    let mut deeds = Vec::new();
    while let Some(old) = ask(address, "POST", KEYS, admin, None, BODY) {
        let old = issued(&old);
        let once = format!("rotate-{thread}-{}", deeds.len());
        let path = format!("{KEYS}/{}/rotate", old.id);
        let told = ask(address, "POST", &path, admin, Some(&once), "{}")
            .as_ref()
            .map(issued);
        let ended = told.is_none();
        deeds.push(Deed::Rotated { old, once, told });
        if ended {
            break;
        }
    }
    deeds
}

/// Revokes families of keys, one after another, while their heads go on creating.
fn revoke(address: SocketAddr, admin: &str) -> Vec<Deed> {
    let mut deeds = Vec::new();
    while let Some(root) = ask(address, "POST", KEYS, admin, None, BODY) {
        let root = issued(&root);
        let mut descendants = Vec::new();
        let told = thread::scope(|scope| {
            let token = root.token.as_str();
            let creating = scope.spawn(move || {
                let mut created: Vec<Issued> = Vec::new();
                loop {
                    // Each by the one before, and every third by the root.
                    let parent = match created.last() {
                        Some(last) if !created.len().is_multiple_of(3) => last.token.as_str(),
                        _ => token,
                    };
                    match ask(address, "POST", KEYS, parent, None, BODY) {
                        Some(answer) if answer.status == 201 => created.push(issued(&answer)),
                        _ => return created,
                    }
                }
            });
            thread::sleep(Duration::from_millis(3));
            let path = format!("{KEYS}/{}?cascade=true", root.id);
            let told = ask(address, "DELETE", &path, admin, None, "");
            descendants = creating.join().unwrap();
            told.inspect(|answer| assert_eq!(answer.status, 200, "{answer:?}"))
                .is_some()
        });
        deeds.push(Deed::Revoked {
            root,
            descendants,
            told,
        });
        if !told {
            break;
        }
    }
    deeds
}

/// All keys of the caller's workspace, by their ids.
fn list(server: &Server, admin: &str) -> HashMap<String, Value> {
    let mut keys = HashMap::new();
    let mut cursor = String::new();
    loop {
        let path = format!("{KEYS}?limit=100{cursor}");
        let page = send(server, "GET", &path, admin);
        assert_eq!(page.status, 200, "{page:?}");
        let page = page.json();
        for key in page["data"].as_array().unwrap() {
            let id = key["id"].as_str().unwrap().to_owned();
            assert!(
                keys.insert(id, key.clone()).is_none(),
                "{key} is listed twice"
            );
        }
        match page["meta"]["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return keys,
        }
    }
}

fn check(
    server: &Server,
    admin: &str,
    deed: &Deed,
    listed: &HashMap<String, Value>,
    [created, rotated, revoked]: &mut [Tally; 3],
) {
    match deed {
        Deed::Created { once, told } => {
            repeat(server, admin, KEYS, once, BODY, told.as_ref(), created);
            if let Some(told) = told {
                assert!(listed.contains_key(&told.id));
            }
        }
        Deed::Rotated { old, once, told } => {
            assert_eq!(whoami(server, &old.token), 200, "the overlap");
            let path = format!("{KEYS}/{}/rotate", old.id);
            let id = repeat(server, admin, &path, once, "{}", told.as_ref(), rotated);
            let item = send(server, "GET", &format!("{KEYS}/{}", old.id), admin);
            assert_eq!(item.text("successor_id"), id, "{item:?}");
        }
        Deed::Revoked {
            root,
            descendants,
            told,
        } => {
            let path = format!("{KEYS}/{}?cascade=true", root.id);
            let again = send(server, "DELETE", &path, admin).status;
            match (told, again) {
                (true, 404) => revoked.acknowledged += 1,
                (false, 404) => revoked.done += 1,
                (false, 200) => revoked.repeated += 1,
                _ => panic!("a cascade that was acknowledged: {told}, and its repeat: {again}"),
            }
            for key in [root].into_iter().chain(descendants) {
                assert_eq!(whoami(server, &key.token), 401, "{} is left out", key.id);
            }
            assert_extinct(&root.id, &list(server, admin));
        }
    }
}

/// Asserts that nothing that descends from a key is left, also of what nobody was told.
fn assert_extinct(root: &str, listed: &HashMap<String, Value>) {
    let mut waiting = vec![root];
    while let Some(parent) = waiting.pop() {
        assert!(listed[parent]["revoked_at"].is_string(), "{parent} is left");
        let children = listed.iter().filter(|(_, key)| key["parent_id"] == parent);
        waiting.extend(children.map(|(id, _)| id.as_str()));
    }
}

/// Repeats a request by its idempotency key, and tells which key it has led to.
fn repeat(
    server: &Server,
    admin: &str,
    path: &str,
    once: &str,
    body: &str,
    told: Option<&Issued>,
    tally: &mut Tally,
) -> String {
    let repeat = || {
        at_last(REACHED, || {
            ask(server.address, "POST", path, admin, Some(once), body)
        })
    };
    let first = repeat();
    let id = first.text("id");
    match (told, first.status) {
        (Some(told), 200) => {
            tally.acknowledged += 1;
            assert_eq!(told.id, id, "{first:?}");
            assert_eq!(whoami(server, &told.token), 200, "{id} is lost");
        }
        (None, 200) => tally.done += 1,
        (None, 201) => {
            tally.repeated += 1;
            assert_eq!(whoami(server, &first.text("secret")), 200);
        }
        _ => panic!("a repeat is answered otherwise: {first:?}"),
    }
    let second = repeat();
    assert_eq!((second.status, second.text("id")), (200, id.clone()));
    assert_eq!(second.header("idempotency-replayed"), "true");
    assert!(second.json()["secret"].is_null());
    id
}
