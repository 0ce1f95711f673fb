//! The file of a running server is moved away and back.

use std::fs;

use tempfile::tempdir;

use crate::support::{
    Client, FAST, STALENESS_BOUND, Server, Times, id_of, keys, now, operator_key, wait_for,
    wait_for_staleness_bound,
};

#[test]
fn cached_keys_get_503_while_the_file_is_away_and_work_again_when_it_is_back() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let token = operator_key(path, &FAST);
    let revoked = operator_key(path, &FAST);
    let (file, away) = (path.join("keywright.db"), path.join("away"));
    let server = Server::start(path, &FAST);
    let mut client = Client::connect(&server);
    let (until_away, until_back) = (Times::default(), Times::default());
    for round in 0..5 {
        assert_eq!(client.whoami(&token), 200);
        fs::rename(&file, &away).unwrap();
        let moved = now();
        let mut last_accepted = moved;
        wait_for("the server notices that the file is missing", || {
            let sent = now();
            let response = client.whoami_once(&token);
            if response.status == 503 {
                assert_eq!(response.header("retry-after"), "1");
                return Some(());
            }
            assert_eq!(response.status, 200, "{response:?}");
            let after = sent - moved;
            assert!(
                after <= STALENESS_BOUND,
                "accepted {after:?} after the move"
            );
            last_accepted = sent;
            None
        });
        until_away.add(last_accepted - moved);
        for _ in 0..100 {
            for token in [&token, &revoked] {
                assert_eq!(client.whoami_once(token).status, 503);
            }
        }
        fs::rename(&away, &file).unwrap();
        // The server applies the changes made to the file in the meantime before it caches keys
        // again.
        if round == 0 {
            keys(path, &["revoke", &id_of(&revoked)]);
        }
        let moved = now();
        assert_eq!(client.whoami(&token), 200);
        until_back.add(moved.elapsed());
        assert_eq!(client.whoami(&revoked), 401);
        wait_for_staleness_bound();
        assert_eq!(client.whoami(&token), 200);
    }
    until_away.print("accepted after the file was moved away");
    until_back.print("first response after the file was moved back");
    let (status, _, log) = server.stop();
    assert!(status.success(), "{log}");
}
