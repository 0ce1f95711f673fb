//! The server is killed with SIGKILL under load.
//!
//! `KEYWRIGHT_KILLS=200 cargo test -p keywright --test stories crash -- --nocapture` kills it 200
//! times, instead of ten.

use std::{
    net::SocketAddr,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use rusqlite::Connection;
use tempfile::tempdir;

use crate::support::{
    FAST, FAST_UNLIMITED, Response, Server, assert_intact, operator_key, request, wait_for,
};

/// The number of clients that write concurrently.
const CLIENTS: usize = 8;

/// The number of responses after which the server is killed.
const RESPONSES: usize = 40;

/// The state of a key according to the responses that a client has received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Active,
    Revoked,
    /// The client has sent a request to revoke or replace the key, and received no response.
    Undetermined,
}

struct Key {
    id: String,
    token: String,
    state: State,
}

/// A client that creates, revokes and rotates keys, and keeps their state according to the
/// responses.
#[derive(Default)]
struct Client {
    keys: Vec<Key>,
    requests: usize,
}

impl Client {
    /// Sends a request. Returns `None` if the server was killed in the meantime.
    fn act(&mut self, address: SocketAddr, first: &str) -> Option<()> {
        let send = |method: &str, path: &str, body: &str| {
            let request = request(method, path, first, "", body);
            // A stalled disk may end the round early, with a 503.
            Server::try_raw(address, &request).filter(|response| response.status != 503)
        };
        self.requests += 1;
        // The newest key, so that the crash comes soon after its creation.
        let newest = self.keys.iter_mut().rev();
        let active = newest.into_iter().find(|key| key.state == State::Active);
        match (self.requests % 4, active) {
            (2, Some(key)) => {
                key.state = State::Undetermined;
                let response = send("DELETE", &format!("/v1/api-keys/{}", key.id), "")?;
                assert_eq!(response.status, 200, "{response:?}");
                key.state = State::Revoked;
            }
            (3, Some(key)) => {
                key.state = State::Undetermined;
                let path = format!("/v1/api-keys/{}/rotate", key.id);
                let response = send("POST", &path, r#"{"expire_previous":"now"}"#)?;
                key.state = State::Revoked;
                self.add(&response);
            }
            _ => self.add(&send("POST", "/v1/api-keys", r#"{"name":"n"}"#)?),
        }
        Some(())
    }

    fn add(&mut self, response: &Response) {
        assert_eq!(response.status, 201, "{response:?}");
        self.keys.push(Key {
            id: response.text("id"),
            token: response.text("secret"),
            state: State::Active,
        });
    }

    /// Asserts that the server agrees with the responses about the `newest` keys.
    fn check(&mut self, server: &Server, newest: usize) {
        for key in self.keys.iter_mut().rev().take(newest) {
            let status = server.whoami(&key.token).status;
            let expected: &[u16] = match key.state {
                State::Active => &[200],
                State::Revoked => &[401],
                State::Undetermined => &[200, 401],
            };
            assert!(expected.contains(&status), "{:?}: {status}", key.state);
            // From now on the state is determined.
            key.state = match status {
                200 => State::Active,
                _ => State::Revoked,
            };
        }
    }
}

#[test]
fn acknowledged_changes_and_their_events_survive_when_the_server_is_killed_under_load() {
    let kills = std::env::var("KEYWRIGHT_KILLS").map_or(10, |kills| kills.parse().unwrap());
    let folder = tempdir().unwrap();
    let first = operator_key(folder.path(), &FAST);
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| Client::default()).collect();
    for round in 0..kills {
        let mut server = Server::start(folder.path(), &FAST_UNLIMITED);
        for client in &mut clients {
            client.check(&server, RESPONSES);
        }
        kill_under_load(&mut server, &first, &mut clients, round);
    }
    let server = Server::start(folder.path(), &FAST_UNLIMITED);
    for client in &mut clients {
        client.check(&server, usize::MAX);
    }
    server.stop();
    let file = folder.path().join("keywright.db");
    assert_intact(&file);
    assert_each_change_has_one_event(&file);
    let keys = clients.iter().flat_map(|client| &client.keys);
    let revoked = keys.clone().filter(|key| key.state == State::Revoked);
    println!(
        "{kills} kills, {} keys, {} revoked",
        keys.count(),
        revoked.count()
    );
}

/// Asserts that each creation and each end of a key in the file has exactly one event, and each
/// event its change.
fn assert_each_change_has_one_event(file: &Path) {
    let database = Connection::open(file).unwrap();
    let changes = |sql: &str| -> Vec<(String, String)> {
        database
            .prepare(sql)
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .collect::<rusqlite::Result<_>>()
            .unwrap()
    };
    // A rotation creates the successor and ends the key.
    let in_events = changes(
        "SELECT event ->> 'key_id' AS id, 'creation' AS change FROM keywright_events
            WHERE event ->> 'type' = 'api_key.created'
         UNION ALL
         SELECT event ->> 'successor_id', 'creation' FROM keywright_events
            WHERE event ->> 'type' = 'api_key.rotated'
         UNION ALL
         SELECT event ->> 'key_id', 'end' FROM keywright_events
            WHERE event ->> 'type' <> 'api_key.created'
         ORDER BY id, change",
    );
    let in_keys = changes(
        "SELECT 'key_' || CAST(id AS TEXT) AS id, 'creation' AS change FROM keywright_keys
         UNION ALL
         SELECT 'key_' || CAST(id AS TEXT), 'end' FROM keywright_keys
         WHERE revoked_at IS NOT NULL
         ORDER BY id, change",
    );
    assert_eq!(in_events, in_keys);
}

fn kill_under_load(server: &mut Server, first: &str, clients: &mut [Client], round: u64) {
    let address = server.address;
    let responses = AtomicUsize::new(0);
    thread::scope(|scope| {
        let threads: Vec<_> = clients
            .iter_mut()
            .map(|client| {
                scope.spawn(|| {
                    while client.act(address, first).is_some() {
                        responses.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let stopped = || threads.iter().all(thread::ScopedJoinHandle::is_finished);
        let under_load = || responses.load(Ordering::Relaxed) >= RESPONSES || stopped();
        wait_for("the server is under load", || under_load().then_some(()));
        // Kill at a different moment in each round.
        thread::sleep(Duration::from_micros(317 * (round % 40)));
        server.kill();
    });
}
