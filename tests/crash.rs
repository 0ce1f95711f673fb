//! kill -9.
//!
//! `KEYWRIGHT_KILLS=200 cargo test --package keywright --test stories crash -- --nocapture` kills the
//! server 200 times; without it, ten times.

use std::{
    net::SocketAddr,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use tempfile::tempdir;

use crate::support::{Answer, Server, operator_key};

/// Clients that write at once.
const CLIENTS: usize = 8;

/// Answers that a server gives before it is killed.
const ANSWERS: usize = 40;

const FAST: [&str; 4] = ["--hash", "hmac-sha256", "--rate-limit", "0"];

/// What a client was told about a key of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Active,
    Revoked,
    /// A request was sent to end it, and the server was killed before it answered.
    Ending,
}

struct Known {
    id: String,
    token: String,
    state: State,
}

/// A client that creates keys, revokes some and rotates some, and keeps what it was told.
#[derive(Default)]
struct Client {
    keys: Vec<Known>,
    requests: usize,
}

impl Client {
    /// Sends one request; `None` if the server was killed meanwhile.
    fn ask(&mut self, address: SocketAddr, first: &str) -> Option<()> {
        self.requests += 1;
        // The newest, so that what is ended was created just now.
        let newest = self.keys.iter_mut().rev();
        let active = newest.into_iter().find(|key| key.state == State::Active);
        match (self.requests % 4, active) {
            (2, Some(key)) => {
                let path = format!("/v1/api-keys/{}", key.id);
                key.state = State::Ending;
                let answer = Server::try_send(address, "DELETE", &path, first, "")?;
                assert_eq!(answer.status, 200, "{answer:?}");
                key.state = State::Revoked;
            }
            (3, Some(key)) => {
                let path = format!("/v1/api-keys/{}/rotate", key.id);
                key.state = State::Ending;
                let body = r#"{"expire_previous":"now"}"#;
                let answer = Server::try_send(address, "POST", &path, first, body)?;
                key.state = State::Revoked;
                self.created(&answer);
            }
            _ => {
                let body = r#"{"name":"n"}"#;
                let answer = Server::try_send(address, "POST", "/v1/api-keys", first, body)?;
                self.created(&answer);
            }
        }
        Some(())
    }

    fn created(&mut self, answer: &Answer) {
        assert_eq!(answer.status, 201, "{answer:?}");
        self.keys.push(Known {
            id: answer.text("id"),
            token: answer.text("secret"),
            state: State::Active,
        });
    }

    /// Holds the newest of its keys, or all of them, against what it was told.
    fn check(&mut self, server: &Server, newest: usize) {
        for key in self.keys.iter_mut().rev().take(newest) {
            let status = server.whoami(&key.token).status;
            let expected: &[u16] = match key.state {
                State::Active => &[200],
                State::Revoked => &[401],
                State::Ending => &[200, 401],
            };
            assert!(expected.contains(&status), "{:?}: {status}", key.state);
            // From now on it is known.
            key.state = match status {
                200 => State::Active,
                _ => State::Revoked,
            };
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_server_is_killed_under_load() {
    let kills = std::env::var("KEYWRIGHT_KILLS").map_or(10, |kills| kills.parse().unwrap());
    let folder = tempdir().unwrap();
    let first = operator_key(folder.path(), &FAST[..2]);
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| Client::default()).collect();
    for round in 0..kills {
        let mut server = Server::start(folder.path(), &FAST);
        for client in &mut clients {
            client.check(&server, ANSWERS);
        }
        kill_under_load(&mut server, &first, &mut clients, round);
    }
    let server = Server::start(folder.path(), &FAST);
    for client in &mut clients {
        client.check(&server, usize::MAX);
    }
    server.stop();
    assert_sound(folder.path());
    let keys = clients.iter().flat_map(|client| &client.keys);
    let revoked = keys.clone().filter(|key| key.state == State::Revoked);
    println!(
        "{kills} kills, {} keys, {} revoked",
        keys.count(),
        revoked.count()
    );
}

fn kill_under_load(server: &mut Server, first: &str, clients: &mut [Client], round: u64) {
    let address = server.address;
    let answers = AtomicUsize::new(0);
    thread::scope(|scope| {
        for client in clients {
            scope.spawn(|| {
                while client.ask(address, first).is_some() {
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let in_time = (0..60_000).any(|_| {
            thread::sleep(Duration::from_millis(1));
            answers.load(Ordering::Relaxed) >= ANSWERS
        });
        thread::sleep(Duration::from_micros(317 * (round % 40)));
        // Before anything is asserted, or the clients would go on for ever.
        server.kill();
        assert!(in_time, "the server does not answer");
    });
}

fn assert_sound(folder: &Path) {
    let database = rusqlite::Connection::open(folder.join("keywright.db")).unwrap();
    let check: String = database
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
}
