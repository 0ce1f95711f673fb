//! A new pepper and another hash are introduced under load.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use tempfile::tempdir;

use crate::support::{Client, Server, SetOnDrop, operator_key, wait_for, write_private};

/// Returns the number of keys whose hash has this prefix and the pepper `p2`, and whose record was
/// changed once.
fn replaced(folder: &Path, hash_prefix: &str) -> i64 {
    rusqlite::Connection::open(folder.join("keywright.db"))
        .unwrap()
        .query_row(
            "SELECT count(*) FROM keywright_keys
             WHERE version = 2 AND hash LIKE ?1 AND hash LIKE '%keyid=p2%'",
            [format!("{hash_prefix}%")],
            |row| row.get(0),
        )
        .unwrap()
}

#[test]
fn two_busy_servers_replace_each_hash_once_and_the_old_pepper_can_go() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let peppers = |lines: &[&str]| write_private(&path.join("peppers"), &lines.join("\n"));
    let one = format!("p1 {}", "11".repeat(32));
    let two = format!("p2 {}", "22".repeat(32));
    peppers(&[&one]);
    let before = ["--pepper-file", "peppers", "--hash", "hmac-sha256"];
    let admin = operator_key(path, &before);
    let creator = Server::start(path, &before);
    let mut tokens: Vec<String> = (0..49)
        .map(|_| creator.create(&admin, r#"{"name":"n"}"#).text("secret"))
        .collect();
    tokens.push(admin);
    creator.stop();

    peppers(&[&one, &two]);
    let after = ["--pepper-file", "peppers"];
    let servers = [(); 2].map(|()| Server::start(path, &after));
    let done = AtomicBool::new(false);
    let all = i64::try_from(tokens.len()).unwrap();
    thread::scope(|scope| {
        for server in &servers {
            scope.spawn(|| {
                let mut client = Client::connect(server);
                while !done.load(Ordering::Relaxed) {
                    for token in &tokens {
                        assert_eq!(client.whoami(token), 200);
                    }
                }
            });
        }
        // The clients also stop if this gives up.
        let _stop = SetOnDrop(&done);
        wait_for("each hash is replaced", || {
            (replaced(path, "$argon2id$") == all).then_some(())
        });
    });
    for server in servers {
        let (status, _, log) = server.stop();
        assert!(status.success(), "{log}");
    }
    assert_eq!(replaced(path, "$argon2id$"), all);

    peppers(&[&two]);
    let server = Server::start(path, &after);
    for token in &tokens {
        assert_eq!(server.whoami(token).status, 200);
    }
}
