//! Servers that do not support `CLIENT TRACKING`.

use std::{
    io,
    sync::{Mutex, Once},
};

use keywright_core::store::KeyStore;
use keywright_store_redis::RedisConfig;

use crate::{
    conformance::ACL,
    find, insert, is_revoked, revoke, sample,
    support::{PATIENCE, Server, calls, connect, wait_until},
};

/// The log of this process, which all tests share.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the lines of the log that name this server.
fn logged(server: &Server) -> Vec<String> {
    let log = String::from_utf8(LOG.lock().unwrap().clone()).unwrap();
    let address = format!("127.0.0.1:{}", server.port());
    let lines = log.lines().filter(|line| line.contains(&address));
    lines.map(String::from).collect()
}

fn start_log() {
    static START: Once = Once::new();
    START.call_once(|| {
        tracing_subscriber::fmt()
            .with_writer(|| Log)
            .with_ansi(false)
            .init();
    });
}

#[test]
fn a_server_without_tracking_works_without_a_cache_and_is_logged_once() {
    start_log();
    for (options, acl, error) in [
        (
            &["--rename-command", "CLIENT", "other"][..],
            "+@all",
            "unknown command",
        ),
        (&[], ACL, "tracking"),
    ] {
        let server = Server::with(options);
        let acl = acl.replace(" +client|tracking", "");
        let () = server
            .run(&format!("ACL SETUSER keys on >secret ~kw:* {acl}"))
            .unwrap();
        let url = format!("redis://keys:secret@127.0.0.1:{}", server.port());
        let store = connect(RedisConfig::new(url).with_deadline(PATIENCE));
        wait_until("the store logs it", || !logged(&server).is_empty());

        let record = insert(&store, sample::record());
        let (id, lease) = (record.key.id, store.lease());
        assert!(find(&store, &id).is_some());
        assert!(!lease.holds(&id, lease.stamp(&id)), "a copy is used");
        revoke(&store, &record);
        assert!(is_revoked(&store, &id));

        // The store tries tracking again whenever it reconnects.
        for _ in 0..3 {
            let before = calls(&server, "hello");
            let _ = server.run::<i64>(&format!("{} KILL TYPE normal", client(options)));
            wait_until("the store reconnects", || calls(&server, "hello") > before);
        }
        let lines = logged(&server);
        assert_eq!(lines.len(), 1, "{lines:?}");
        for part in ["WARN", "client|tracking", error] {
            assert!(lines[0].contains(part), "{lines:?}");
        }
        assert!(!lines[0].contains("secret"), "{lines:?}");
    }
}

/// Returns the name of the command `CLIENT` on a server with these options.
fn client(options: &[&'static str]) -> &'static str {
    options.last().copied().unwrap_or("CLIENT")
}
