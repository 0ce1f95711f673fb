//! The first start on an empty store.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::fs::PermissionsExt,
    process::Stdio,
    sync::mpsc,
    thread,
};

use tempfile::tempdir;

use crate::support::{
    FAST, PATIENCE, Response, Server, assert_nowhere_in, keywright, operator_key, secret_of,
    with_last_character_changed,
};

#[test]
fn the_first_key_is_printed_once_and_survives_a_restart() {
    let folder = tempdir().unwrap();
    let server = Server::start(folder.path(), &["--first-key", "print"]);
    let (status, printed, log) = server.stop();
    assert!(status.success(), "{log}");
    let first = log.lines().next().unwrap();
    assert!(
        first.contains("opened the SQLite store keywright.db; for help, run keywright --help"),
        "{log}"
    );
    let token = printed.strip_suffix('\n').unwrap();
    assert!(
        token.starts_with("sk_live_") && token.len() == 74,
        "{printed:?}"
    );

    let server = Server::start(folder.path(), &["--first-key", "print"]);
    let me = server.whoami(token);
    assert_eq!(me.status, 200, "{me:?}");
    assert_eq!(me.json()["name"], "First key");
    assert_eq!(me.json()["permissions"], serde_json::json!(["*"]));
    let (_, printed, log_of_second) = server.stop();
    assert_eq!(printed, "");

    for log in [log, log_of_second] {
        assert!(!log.contains(secret_of(token)), "{log}");
    }
    assert_nowhere_in(folder.path(), token);
    let mode = fs::metadata(folder.path().join("keywright.db"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn without_a_terminal_no_key_is_printed_and_the_log_says_how_to_create_one() {
    let folder = tempdir().unwrap();
    let (_, printed, log) = Server::start(folder.path(), &[]).stop();
    assert_eq!(printed, "");
    assert!(log.contains("keywright keys create --name"), "{log}");
    let (_, printed, log) = Server::start(folder.path(), &["--first-key", "none"]).stop();
    assert_eq!(printed, "");
    assert!(!log.contains("keys create"), "{log}");
}

#[test]
fn on_a_terminal_the_first_key_is_printed_by_default() {
    let folder = tempdir().unwrap();
    let terminal = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR).unwrap();
    rustix::pty::grantpt(&terminal).unwrap();
    rustix::pty::unlockpt(&terminal).unwrap();
    let name = rustix::pty::ptsname(&terminal, Vec::new()).unwrap();
    let tty = fs::File::options()
        .write(true)
        .open(name.to_str().unwrap())
        .unwrap();
    let mut child = keywright(folder.path(), &["--store", "memory:"])
        .env("KEYWRIGHT_LISTEN", "127.0.0.1:0")
        .stdout(tty)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (sender, printed) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        let _ = BufReader::new(fs::File::from(terminal)).read_line(&mut line);
        let _ = sender.send(line);
    });
    let line = printed.recv_timeout(PATIENCE);
    child.kill().unwrap();
    child.wait().unwrap();
    let line = line.unwrap();
    assert!(
        line.starts_with("sk_live_") && line.trim_end().len() == 74,
        "{line:?}"
    );
}

#[test]
fn two_servers_that_start_on_one_empty_store_create_one_first_key() {
    for _ in 0..10 {
        let folder = tempdir().unwrap();
        let options = [&FAST[..], &["--first-key", "print"]].concat();
        let start = || Server::start(folder.path(), &options);
        let (one, other) = thread::scope(|scope| {
            let one = scope.spawn(start);
            (start(), one.join().unwrap())
        });
        let third = start();
        let printed: Vec<String> = [one, other].map(|server| server.stop().1).into();
        let tokens: Vec<&str> = printed.iter().flat_map(|text| text.lines()).collect();
        assert_eq!(tokens.len(), 1, "{printed:?}");
        assert_eq!(third.whoami(tokens[0]).status, 200);
    }
}

#[test]
fn options_can_be_set_in_the_environment() {
    let folder = tempdir().unwrap();
    // The default command also accepts the options of `serve`.
    let mut command = keywright(folder.path(), &["--first-key", "print"]);
    command
        .env("KEYWRIGHT_STORE", "sqlite:acme.db")
        .env("KEYWRIGHT_PREFIX", "acme")
        .env("KEYWRIGHT_HASH", "hmac-sha256")
        .env("KEYWRIGHT_LISTEN", "127.0.0.1:0");
    let (_, printed, _) = Server::spawn(&mut command).stop();
    assert!(printed.starts_with("acme_live_"), "{printed}");
    assert!(folder.path().join("acme.db").exists());
}

#[test]
fn the_log_has_a_line_with_the_id_of_each_request_and_no_token() {
    let folder = tempdir().unwrap();
    let token = operator_key(folder.path(), &[]);
    let server = Server::start(
        folder.path(),
        &["--log-format", "json", "--log-level", "trace"],
    );
    let request = format!(
        "{token} /v1/{token}?key={token} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         x-request-id: find-me\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    let response = server.raw(request);
    assert_eq!(
        (response.status, response.header("x-request-id")),
        (404, "find-me")
    );
    assert_eq!(server.whoami(&token).status, 200);
    assert_eq!(
        server.whoami(&with_last_character_changed(&token)).status,
        401
    );
    assert_eq!(server.create(&token, r#"{"name":"n"}"#).status, 201);
    let (_, _, log) = server.stop();
    let found = log
        .lines()
        .filter(|line| line.contains("find-me"))
        .collect::<Vec<_>>();
    assert_eq!(found.len(), 1, "{log}");
    let line: serde_json::Value = serde_json::from_str(found[0]).unwrap();
    assert_eq!(line["status"], 404);
    for piece in secret_of(&token).as_bytes().windows(16) {
        assert!(!log.contains(str::from_utf8(piece).unwrap()), "{log}");
    }
}

#[test]
fn health_and_readiness_need_no_key() {
    let folder = tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    for path in ["/healthz", "/readyz"] {
        let response = server.raw(format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        ));
        assert_eq!(
            (response.status, response.body.as_str()),
            (200, "ok\n"),
            "{path}"
        );
        assert_eq!(response.header("cache-control"), "no-store");
        assert!(!response.header("x-request-id").is_empty());
    }
    // Several requests on one connection.
    let mut stream = server.connect();
    for _ in 0..3 {
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            .unwrap();
        assert_eq!(Response::read(&mut stream).unwrap().status, 200);
    }
}

#[test]
fn a_closed_log_does_not_take_the_api_down() {
    let folder = tempdir().unwrap();
    let token = operator_key(folder.path(), &FAST);
    let mut server = Server::start(folder.path(), &FAST);
    server.close_log();
    for _ in 0..3 {
        assert_eq!(server.whoami(&token).status, 200);
        assert_eq!(server.create(&token, r#"{"name":"n"}"#).status, 201);
    }
    let (status, _, _) = server.stop();
    assert!(status.success());
}

#[test]
fn a_first_key_that_cannot_be_printed_is_named_in_the_error() {
    let folder = tempdir().unwrap();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = keywright(
        folder.path(),
        &["--first-key", "print", "--listen", "127.0.0.1:0"],
    )
    .stdout(full)
    .stderr(Stdio::piped())
    .spawn()
    .unwrap()
    .wait_with_output()
    .unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(
        log.contains("error: created the first key key_") && !log.contains("shown only once"),
        "{log}"
    );
}
