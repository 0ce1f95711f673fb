//! The file of a running server is taken away, and brought back.

use std::{fs, thread};

use tempfile::tempdir;

use crate::{
    client::{BOUND, Client, Times, now},
    support::{Server, operator_key, parse, run},
};

#[test]
fn remembered_keys_are_answered_with_503_while_the_file_is_away_and_work_again_after_it_is_back() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let fast = ["--hash", "hmac-sha256"];
    let token = operator_key(path, &fast);
    let revoked = operator_key(path, &fast);
    let (file, away) = (path.join("keywright.db"), path.join("away"));
    let server = Server::start(path, &fast);
    let mut client = Client::of(&server);
    let (until_away, until_back) = (Times::default(), Times::default());
    for round in 0..5 {
        assert_eq!(client.whoami(&token), 200);
        fs::rename(&file, &away).unwrap();
        let moved = now();
        let mut last_good = moved;
        for _ in 0..10_000 {
            let sent = now();
            let answer = client.ask(&token);
            if answer.status == 503 {
                assert_eq!(answer.header("retry-after"), "1");
                break;
            }
            assert_eq!(answer.status, 200, "{answer:?}");
            assert!(sent - moved <= BOUND, "let in {:?} later", sent - moved);
            last_good = sent;
        }
        until_away.add(last_good - moved);
        for _ in 0..100 {
            for token in [&token, &revoked] {
                assert_eq!(client.whoami(token), 503);
            }
        }
        fs::rename(&away, &file).unwrap();
        // What has happened to the file elsewhere is known before anything is remembered again.
        if round == 0 {
            let id = parse(&revoked).id().to_string();
            assert!(run(path, &["keys", "revoke", &id]).status.success());
        }
        let moved = now();
        assert_eq!(client.whoami(&token), 200);
        until_back.add(moved.elapsed());
        assert_eq!(client.whoami(&revoked), 401);
        thread::sleep(BOUND);
        assert_eq!(client.whoami(&token), 200);
    }
    until_away.print("let in after the file was moved away");
    until_back.print("the first answer after it was moved back");
    let (status, _, log) = server.stop();
    assert!(status.success(), "{log}");
}
