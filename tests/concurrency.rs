//! Many at once.

use std::{collections::HashSet, thread};

use tempfile::tempdir;

use crate::support::{Server, operator_key};

#[test]
fn sixty_four_creators_at_once_get_keys_of_their_own() {
    let folder = tempdir().unwrap();
    let first = operator_key(folder.path(), &[]);
    let arguments = ["--hash", "hmac-sha256", "--rate-limit", "0"];
    let server = Server::start(folder.path(), &arguments);
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
    assert!(created.iter().all(|answer| answer.status == 201));
    let ids: HashSet<String> = created.iter().map(|answer| answer.text("id")).collect();
    let secrets: HashSet<String> = created.iter().map(|answer| answer.text("secret")).collect();
    assert_eq!((ids.len(), secrets.len()), (640, 640));
    for answer in &created {
        let me = server.whoami(&answer.text("secret"));
        assert_eq!(me.text("id"), answer.text("id"));
        assert_eq!(me.text("name"), answer.text("name"));
    }
}

#[test]
fn of_equal_requests_with_one_idempotency_key_one_makes_a_key() {
    let folder = tempdir().unwrap();
    let first = operator_key(folder.path(), &[]);
    // Two servers, as a client meets them that asks again.
    let servers = [(); 2].map(|()| Server::start(folder.path(), &["--hash", "hmac-sha256"]));
    for round in 0..10 {
        let request = format!(
            "POST /v1/api-keys HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             authorization: Bearer {first}\r\ncontent-type: application/json\r\n\
             idempotency-key: round-{round}\r\ncontent-length: 12\r\n\r\n{{\"name\":\"n\"}}"
        );
        let answers: Vec<_> = thread::scope(|scope| {
            let asked: Vec<_> = (0..8)
                .map(|number| {
                    let (server, request) = (&servers[number % 2], &request);
                    scope.spawn(move || server.raw(request))
                })
                .collect();
            asked
                .into_iter()
                .map(|asked| asked.join().unwrap())
                .collect()
        });
        let ids: HashSet<String> = answers.iter().map(|answer| answer.text("id")).collect();
        assert_eq!(ids.len(), 1, "{answers:?}");
        let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 201]);
        let secrets = answers
            .iter()
            .filter(|answer| answer.json()["secret"].is_string());
        assert_eq!(secrets.count(), 1);
        let listed = servers[0].send("GET", "/v1/api-keys", &first, "").json();
        assert_eq!(listed["meta"]["total"], round + 2);
    }
}

#[test]
fn the_operator_and_two_servers_work_on_one_file() {
    let folder = tempdir().unwrap();
    let first = operator_key(folder.path(), &[]);
    let servers = [(); 2].map(|()| Server::start(folder.path(), &["--hash", "hmac-sha256"]));
    thread::scope(|scope| {
        for server in &servers {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert_eq!(server.create(&first, r#"{"name":"n"}"#).status, 201);
                }
            });
        }
        for _ in 0..5 {
            let token = operator_key(folder.path(), &["--hash", "hmac-sha256"]);
            for server in &servers {
                assert_eq!(server.whoami(&token).status, 200);
            }
        }
    });
}
