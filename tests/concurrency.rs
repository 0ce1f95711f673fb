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
