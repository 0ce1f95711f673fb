//! Many requests at once.

use std::{collections::HashSet, thread};

use tempfile::tempdir;

use crate::support::{FAST, FAST_UNLIMITED, Server, operator_key, request, until_available};

#[test]
fn sixty_four_concurrent_creators_get_different_keys() {
    let folder = tempdir().unwrap();
    let first = operator_key(folder.path(), &[]);
    let server = Server::start(folder.path(), &FAST_UNLIMITED);
    let created: Vec<_> = thread::scope(|scope| {
        let creators: Vec<_> = (0..64)
            .map(|number| {
                let (server, first) = (&server, &first);
                scope.spawn(move || {
                    let body = format!(r#"{{"name":"creator {number}"}}"#);
                    (0..10)
                        .map(|_| server.create(first, &body))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        creators
            .into_iter()
            .flat_map(|creator| creator.join().unwrap())
            .collect()
    });
    for response in &created {
        assert_eq!(response.status, 201, "{response:?}");
    }
    let values = |member: &str| -> HashSet<String> {
        created
            .iter()
            .map(|response| response.text(member))
            .collect()
    };
    assert_eq!((values("id").len(), values("secret").len()), (640, 640));
    for response in &created {
        let me = server.whoami(&response.text("secret"));
        assert_eq!(me.text("id"), response.text("id"));
        assert_eq!(me.text("name"), response.text("name"));
    }
}

#[test]
fn equal_requests_with_one_idempotency_key_create_one_key() {
    let folder = tempdir().unwrap();
    let first = operator_key(folder.path(), &[]);
    // A client that retries may reach another server.
    let servers = [(); 2].map(|()| Server::start(folder.path(), &FAST));
    for round in 0..10 {
        let header = format!("idempotency-key: round-{round}\r\n");
        let create = request("POST", "/v1/api-keys", &first, &header, r#"{"name":"n"}"#);
        let responses: Vec<_> = thread::scope(|scope| {
            let requests: Vec<_> = (0..8)
                .map(|number| {
                    let (server, create) = (&servers[number % 2], &create);
                    scope.spawn(move || until_available(|| server.raw(create)))
                })
                .collect();
            requests
                .into_iter()
                .map(|request| request.join().unwrap())
                .collect()
        });
        let ids: HashSet<String> = responses
            .iter()
            .map(|response| response.text("id"))
            .collect();
        assert_eq!(ids.len(), 1, "{responses:?}");
        let mut statuses: Vec<u16> = responses.iter().map(|response| response.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 201]);
        let secrets = responses
            .iter()
            .filter(|response| response.json()["secret"].is_string());
        assert_eq!(secrets.count(), 1);
        let listed = servers[0].send("GET", "/v1/api-keys", &first, "").json();
        assert_eq!(listed["meta"]["total"], round + 2);
    }
}

#[test]
fn the_command_line_and_two_servers_share_one_file() {
    let folder = tempdir().unwrap();
    let first = operator_key(folder.path(), &[]);
    let servers = [(); 2].map(|()| Server::start(folder.path(), &FAST));
    thread::scope(|scope| {
        for server in &servers {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert_eq!(server.create(&first, r#"{"name":"n"}"#).status, 201);
                }
            });
        }
        for _ in 0..5 {
            let token = operator_key(folder.path(), &FAST);
            for server in &servers {
                assert_eq!(server.whoami(&token).status, 200);
            }
        }
    });
}
