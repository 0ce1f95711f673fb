//! The life of keys at a real server, and all that is to be read of it afterwards.

use std::{fs, io::Write, process::Stdio};

use keywright_assurance::canary::{Canaries, hex, secret_of};
use keywright_core::{Token, TokenRef};

use crate::{
    answer::Answer,
    attacks, redis,
    server::{Server, folder, program, request},
    world::{PASSWORD, PEPPER, constant_canaries, prefix},
};

const BASE: &str = "/v1/api-keys";

/// A server after its first key, a file with a pepper beside it.
pub(crate) fn start(arguments: &[&str], settings: &[(&str, &str)]) -> (Server, String, Canaries) {
    let folder = folder();
    fs::create_dir(folder.path().join("peppers")).unwrap();
    let peppers = format!("p1 {}\n", hex(PEPPER));
    let path = folder.path().join("peppers/file");
    fs::write(&path, peppers).unwrap();
    let server = Server::start(
        folder,
        &[&["--pepper-file", "peppers/file"], arguments].concat(),
        settings,
    );
    // It is a secret of the operator's, who keeps it where they like.
    fs::remove_file(path).unwrap();
    let first = server.first_key();
    let mut canaries = constant_canaries();
    canaries.add_token("the first key", &first);
    (server, first, canaries)
}

/// Creates or rotates: the answer holds the new token once, and no other secret.
fn issue(server: &Server, canaries: &mut Canaries, name: &str, request: String) -> String {
    let answer = server.send_unread(request);
    assert_eq!(answer.status(), 201, "{}", answer.body());
    let token = answer.text("secret");
    let text = String::from_utf8(answer.0).unwrap();
    assert_eq!(text.matches(secret_of(&token)).count(), 1);
    canaries.assert_absent("the answer to a creation", text);
    canaries.add_token(name, &token);
    token
}

fn id_of(token: &str) -> String {
    format!("key_{}", &token["sk_live_".len()..][..16])
}

/// All that is done with keys. The token of the one that is left in the end.
pub(crate) fn live(server: &Server, first: &str, canaries: &mut Canaries) -> String {
    let send = |method: &str, path: &str, token: &str, body: &str, status: u16| -> Answer {
        let answer = server.send(request(method, path, token, body));
        assert_eq!(
            answer.status(),
            status,
            "{method} {path}: {}",
            answer.body()
        );
        answer
    };
    let verify = |token: &str| {
        let body = format!("{{\"key\":\"{token}\"}}");
        send("POST", &format!("{BASE}/verify"), first, &body, 200);
    };
    let create = |name: &str| request("POST", BASE, first, &format!("{{\"name\":\"{name}\"}}"));
    let one = issue(server, canaries, "key one", create("one"));
    let once = "idempotency-key: once\r\ncontent-type";
    let repeated = create("two").replacen("content-type", once, 1);
    let two = issue(server, canaries, "key two", repeated.clone());
    assert_eq!(server.send(repeated).status(), 200);

    let (at_one, at_two) = (
        format!("{BASE}/{}", id_of(&one)),
        format!("{BASE}/{}", id_of(&two)),
    );
    for token in [first, &one, &two, &one] {
        send("GET", "/v1/whoami", token, "", 200);
        verify(token);
    }
    send("GET", BASE, &one, "", 200);
    let page = send("GET", &format!("{BASE}?limit=1&search=o"), &one, "", 200);
    assert!(page.body().contains("next_cursor"));
    send("GET", &at_one, &two, "", 200);
    send(
        "PATCH",
        &at_one,
        &two,
        r#"{"name":"uno","metadata":{"a":1}}"#,
        200,
    );

    let rotate = request("POST", &format!("{at_one}/rotate"), first, "{}");
    let three = issue(server, canaries, "key three", rotate);
    let denied = send("POST", &format!("{at_one}/rotate"), first, "{}", 409);
    assert!(denied.body().contains("not_rotatable"));
    // The right id with another secret, from memory and from the store.
    let parse = |token| TokenRef::parse(token, &prefix()).map_err(|_| ()).unwrap();
    let other = parse(one.as_bytes()).secret();
    for token in [&two, &three] {
        let token = parse(token.as_bytes());
        let wrong = Token::assemble(&prefix(), token.environment(), token.id(), &other);
        send("GET", "/v1/whoami", wrong.expose(), "", 401);
    }
    send("DELETE", &format!("{at_two}?cascade=true"), first, "", 200);
    send("DELETE", &at_one, first, "", 200);
    for token in [&two, &one] {
        send("GET", "/v1/whoami", token, "", 401);
        verify(token);
    }
    let ended = request("POST", BASE, first, r#"{"name":"ended","expire_now":true}"#);
    let ended = issue(server, canaries, "a key that has expired", ended);
    send("GET", "/v1/whoami", &ended, "", 401);
    for path in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/nothing",
    ] {
        let status = if path == "/nothing" { 404 } else { 200 };
        assert_eq!(server.send(request("GET", path, "", "")).status(), status);
    }
    three
}

/// Sends a token to every place where it does not belong.
fn attack(server: &Server, first: &str, token: &str) {
    for request in attacks::requests(first, token) {
        let answer = server.send(&request);
        let status = answer.status();
        let asked = String::from_utf8_lossy(&request);
        assert!(status != 500, "{asked}");
        // Nobody is let in, but for who has shown the first key in the right place.
        assert!(
            status < 300 && asked.contains(first) || !(200..300).contains(&status),
            "{asked}"
        );
    }
    for request in attacks::cut_off(first, token) {
        server.send_and_hang_up(request);
    }
}

/// Reads all that a server has answered, logged and written.
fn read(server: &Server, canaries: &Canaries, when: &str) {
    canaries.assert_absent("the answers", server.answers());
    let log = server.log();
    assert!(
        log.contains("API key created") && log.contains("API key denied"),
        "{when}"
    );
    for (name, bytes) in server.files() {
        canaries.assert_absent(&format!("{name} {when}"), bytes);
    }
}

/// What other users of the host may see of the process, and what its own user may.
fn read_proc(server: &Server, canaries: &Canaries) {
    canaries.assert_absent("the arguments", fs::read(server.proc("cmdline")).unwrap());
    // The environment is as it was given: a password that its user put there is there, and nothing else.
    let environment = fs::read(server.proc("environ")).unwrap();
    let hits = canaries.find(&environment);
    assert!(
        hits.iter().all(|hit| hit.secret == "the password"),
        "{hits:?}"
    );
    for entry in fs::read_dir(server.proc("fd")).unwrap() {
        let target = fs::read_link(entry.unwrap().path()).unwrap_or_default();
        // No file that has no name any more, nor one elsewhere.
        let target = target.display().to_string();
        let own = target.starts_with(&server.folder.path().display().to_string());
        let is_file = target.starts_with('/') && !target.starts_with("/dev/");
        assert!(
            own && !target.ends_with(" (deleted)") || !is_file,
            "{target}"
        );
    }
}

fn over_a_file(arguments: &[&str]) {
    let (mut server, first, mut canaries) = start(arguments, &[]);
    let token = live(&server, &first, &mut canaries);
    attack(&server, &first, &token);
    for wanted in ["keywright.db", "keywright.db-wal", "keywright.db-shm"] {
        assert!(server.folder.path().join(wanted).exists(), "{wanted}");
    }
    read_proc(&server, &canaries);
    read(&server, &canaries, "while it runs");
    server.stop();
    read(&server, &canaries, "after its end");
}

#[test]
fn over_a_file_and_in_the_log_for_people_no_secret_is_left() {
    over_a_file(&["--hash", "hmac-sha256"]);
}

#[test]
fn over_a_file_with_argon2id_and_in_the_log_in_json_no_secret_is_left() {
    over_a_file(&["--hash", "argon2id", "--log-format", "json"]);
}

#[test]
fn over_redis_no_secret_is_left() {
    let redis = redis::Server::start();
    let monitor = redis.monitor();
    let url = redis.url();
    let (mut server, first, mut canaries) = start(
        &["--hash", "hmac-sha256", "--log-format", "json"],
        &[("KEYWRIGHT_STORE", &url)],
    );
    let token = live(&server, &first, &mut canaries);
    attack(&server, &first, &token);
    read_proc(&server, &canaries);
    read(&server, &canaries, "while it runs");
    server.stop();
    read(&server, &canaries, "after its end");
    for (name, bytes) in redis.files() {
        canaries.assert_absent(&name, bytes);
    }
    drop(redis);
    let commands = monitor.end();
    let text = String::from_utf8_lossy(&commands).to_lowercase();
    assert!(text.contains("evalsha"));
    canaries.assert_absent("the commands", commands);
}

/// The operator's commands: a token is printed by two of them, alone on standard output.
#[test]
fn the_commands_print_a_token_where_it_belongs_and_nowhere_else() {
    let folder = folder();
    let mut canaries = constant_canaries();
    let run = |arguments: &[&str], input: &str| {
        let mut child = program(folder.path(), arguments)
            .env("RUST_LOG", "trace")
            .env("RUST_BACKTRACE", "full")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that does not read closes its end.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    };
    let issued = |canaries: &mut Canaries, arguments: &[&str]| {
        let output = run(arguments, "");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        canaries.assert_absent("what was printed before", &output.stdout);
        let token = String::from_utf8(output.stdout)
            .unwrap()
            .trim_end()
            .to_owned();
        canaries.add_token(arguments[1], &token);
        canaries.assert_absent("standard error", output.stderr);
        token
    };
    let token = issued(
        &mut canaries,
        &["keys", "create", "--name", "n", "--hash", "hmac-sha256"],
    );
    let id = id_of(&token);
    issued(&mut canaries, &["keys", "rotate", &id]);
    let mut printed = Vec::new();
    for (arguments, input) in [
        (&["keys", "list", "--json"][..], ""),
        (&["keys", "list"], ""),
        (&["keys", "get", &id], ""),
        (&["keys", "rename", &id, "--name", "m", "--json"], ""),
        (&["keys", "verify", "--json"], &token),
        (&["keys", "verify"], &token[1..]),
        (&["keys", "verify", &token], ""),
        (&["keys", "get", &token], ""),
        (&["keys", "revoke", secret_of(&token)], ""),
        (&["keys", &token], ""),
        (&[&token], ""),
        (&["keys", "list", "--cursor", &token], ""),
        (
            &["keys", "create", "--name", "n", "--permissions", &token],
            "",
        ),
        (
            &["keys", "create", "--name", "n", "--expires-in", &token],
            "",
        ),
        (&["--pepper-file", &token, "keys", "list"], ""),
        (&["--prefix", &token, "keys", "list"], ""),
        (&["--hash", &token, "keys", "list"], ""),
        (&["serve", "--listen", &token], ""),
        (&["serve", "--store", PASSWORD], ""),
        (
            &[
                "--store",
                &format!("redis://:{PASSWORD}@127.0.0.1:port"),
                "keys",
                "list",
            ],
            "",
        ),
        (
            &[
                "--store",
                &format!("redis://:{PASSWORD}@127.0.0.1:1"),
                "keys",
                "list",
            ],
            "",
        ),
        (
            &[
                "--store",
                &format!("mysql://:{PASSWORD}@host"),
                "keys",
                "list",
            ],
            "",
        ),
    ] {
        let output = run(arguments, input);
        printed.extend([output.stdout, output.stderr].concat());
    }
    fs::write(
        folder.path().join("peppers"),
        format!("p1 {}x\n", hex(PEPPER)),
    )
    .unwrap();
    let output = run(&["--pepper-file", "peppers", "keys", "list"], "");
    printed.extend([output.stdout, output.stderr].concat());
    canaries.assert_absent("what commands print", printed);
}
