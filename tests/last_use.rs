//! When a key was last used, as two processes see it.

use serde_json::Value;
use tempfile::tempdir;

use crate::support::{FAST, Server, id_of, keys, operator_key, wait_for};

#[test]
fn the_first_use_is_stored_soon_and_the_latest_when_the_server_stops() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let token = operator_key(path, &FAST);
    let id = id_of(&token);
    let stored = || -> Value {
        let shown: Value = serde_json::from_str(&keys(path, &["get", &id, "--json"])).unwrap();
        shown["last_used_at"].clone()
    };
    for signal in ["TERM", "INT"] {
        let server = Server::start(path, &[]);
        let before = stored();
        // Each request uses the key and returns the time of that use.
        let use_key = || -> Value {
            let key = server.send("GET", &format!("/v1/api-keys/{id}"), &token, "");
            key.json()["last_used_at"].clone()
        };
        let first = use_key();
        assert_ne!(first, before);
        if before.is_null() {
            wait_for("the first use is stored", || {
                (stored() == first).then_some(())
            });
        }
        // The clock for last uses is coarse, so a use right after the first may have its time. The
        // server stores it only a minute after the first, or when it stops.
        let last = wait_for("the clock advances", || {
            Some(use_key()).filter(|last| *last != first)
        });
        server.signal(signal);
        let (status, _, log) = server.wait();
        assert!(status.success(), "{log}");
        assert_eq!(stored(), last);
    }
}
