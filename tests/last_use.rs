//! When a key was last used, as two processes see it.

use std::{thread, time::Duration};

use serde_json::Value;
use tempfile::tempdir;

use crate::support::{Server, operator_key, parse, run};

#[test]
fn the_first_use_is_written_soon_and_the_latest_when_the_server_ends() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let token = operator_key(path, &["--hash", "hmac-sha256"]);
    let id = parse(&token).id().to_string();
    let in_file = || -> Value {
        let shown = run(path, &["keys", "get", &id, "--json"]);
        let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
        shown["last_used_at"].clone()
    };
    for signal in ["TERM", "INT"] {
        let server = Server::start(path, &[]);
        let before = in_file();
        let shown = || -> Value {
            let get = server.send("GET", &format!("/v1/api-keys/{id}"), &token, "");
            get.json()["last_used_at"].clone()
        };
        let first = shown();
        assert_ne!(first, before);
        if before.is_null() {
            // Within a second or so; a minute later at most where it was written before.
            let mut tries = 0;
            while in_file() != first {
                tries += 1;
                assert!(tries < 600, "the first use is not written");
                thread::sleep(Duration::from_millis(100));
            }
        }
        // The clock that tells when a key was used may be 25 ms behind.
        thread::sleep(Duration::from_millis(100));
        let last = shown();
        assert_ne!(last, first);
        // Within the minute after the first it is only noted.
        server.signal(signal);
        let (status, _, log) = server.end();
        assert!(status.success(), "{log}");
        assert_eq!(in_file(), last);
    }
}
