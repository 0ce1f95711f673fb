//! kill -9.

use std::{sync::Mutex, thread, time::Duration};

use tempfile::tempdir;

use crate::support::{Server, operator_key};

#[test]
fn nothing_acknowledged_is_lost_when_the_server_is_killed_under_concurrent_creates() {
    let folder = tempdir().unwrap();
    let first = operator_key(folder.path(), &[]);
    let acknowledged = Mutex::new(Vec::new());
    for round in 0..5u64 {
        let arguments = ["--hash", "hmac-sha256", "--rate-limit", "0"];
        let mut server = Server::start(folder.path(), &arguments);
        let address = server.address;
        let before = acknowledged.lock().unwrap().len();
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    while let Some(answer) = Server::try_create(address, &first, r#"{"name":"n"}"#)
                    {
                        assert_eq!(answer.status, 201, "{answer:?}");
                        acknowledged.lock().unwrap().push(answer.text("secret"));
                    }
                });
            }
            let enough = || acknowledged.lock().unwrap().len() >= before + 50;
            let in_time = (0..60_000).any(|_| {
                thread::sleep(Duration::from_millis(1));
                enough()
            });
            thread::sleep(Duration::from_millis(7 * round));
            // Before anything is asserted, or the creators would go on for ever.
            server.kill();
            assert!(in_time, "the server does not create keys");
        });
    }
    let server = Server::start(folder.path(), &[]);
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(acknowledged.len() >= 250);
    for token in &acknowledged {
        assert_eq!(server.whoami(token).status, 200);
    }
    server.stop();
    let database = rusqlite::Connection::open(folder.path().join("keywright.db")).unwrap();
    let check: String = database
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
}
