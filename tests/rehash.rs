//! A new pepper and another hash, under load.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use tempfile::tempdir;

use crate::{
    client::Client,
    support::{Server, operator_key},
};

/// How many keys have a hash by this scheme and pepper, in a record that was changed once.
fn replaced(folder: &Path, start_of_hash: &str) -> i64 {
    rusqlite::Connection::open(folder.join("keywright.db"))
        .unwrap()
        .query_row(
            "SELECT count(*) FROM keys WHERE version = 2 AND hash LIKE ?1 AND hash LIKE '%keyid=p2%'",
            [format!("{start_of_hash}%")],
            |row| row.get(0),
        )
        .unwrap()
}

#[test]
fn two_busy_servers_replace_each_hash_once_and_the_old_pepper_can_go() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let peppers = |lines: &[&str]| fs::write(path.join("peppers"), lines.join("\n")).unwrap();
    let one = format!("p1 {}", "11".repeat(32));
    let two = format!("p2 {}", "22".repeat(32));
    peppers(&[&one]);
    let before = ["--pepper-file", "peppers", "--hash", "hmac-sha256"];
    let admin = operator_key(path, &before);
    let maker = Server::start(path, &before);
    let mut tokens: Vec<String> = (0..49)
        .map(|_| maker.create(&admin, r#"{"name":"n"}"#).text("secret"))
        .collect();
    tokens.push(admin);
    maker.stop();

    peppers(&[&one, &two]);
    let after = ["--pepper-file", "peppers"];
    let servers = [(); 2].map(|()| Server::start(path, &after));
    let done = AtomicBool::new(false);
    let all = i64::try_from(tokens.len()).unwrap();
    let in_time = thread::scope(|scope| {
        for server in &servers {
            scope.spawn(|| {
                let mut client = Client::of(server);
                while !done.load(Ordering::Relaxed) {
                    for token in &tokens {
                        assert_eq!(client.whoami(token), 200);
                    }
                }
            });
        }
        let in_time = (0..600).any(|_| {
            thread::sleep(Duration::from_millis(100));
            replaced(path, "$argon2id$") == all
        });
        done.store(true, Ordering::Relaxed);
        in_time
    });
    assert!(in_time, "{} were replaced", replaced(path, "$argon2id$"));
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
