//! Takes keys through their lifecycle at a real server, and then searches everything that it
//! produced.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    panic::{catch_unwind, panic_any, resume_unwind},
    path::Path,
    sync::Arc,
};

use keywright_assurance::canary::{Canaries, hex, secret_of};
use keywright_core::{
    Attributes, Caller, Config, Environment, Event, EventId, Key, KeyId, KeyUpdate, Keywright,
    ListEvents, Metadata, Token, TokenRef, Workspace, store::KeyStore,
};
use keywright_store_sqlite::SqliteStore;
use pollster::block_on;

use crate::{
    attacks,
    fixture::{ATTRIBUTES, PASSWORD, PEPPER, constant_canaries, prefix},
    redis,
    response::RawResponse,
    server::{Server, folder, request, run},
};

/// Metadata that no response, log or event of these tests should contain.
const METADATA: &str = r#"{"note":"metadata-of-a-customer-7f3a9c"}"#;

const BASE: &str = "/v1/api-keys";

/// The payload of a panic because the server or its store was unavailable.
struct Unavailable;

fn give_up(reason: &str) -> ! {
    eprintln!("{reason}");
    panic_any(Unavailable)
}

fn give_up_if_unavailable(response: &RawResponse) {
    if response.status() == 503 {
        give_up(response.body());
    }
}

/// Runs a test again if the server or its store was unavailable. The program gives Redis two
/// seconds for a call, and a busy machine can take longer.
fn retry_while_unavailable(test: fn()) {
    for _ in 0..20 {
        match catch_unwind(test) {
            Ok(()) => return,
            Err(cause) if cause.is::<Unavailable>() => {}
            Err(cause) => resume_unwind(cause),
        }
    }
    panic!("the server or its store was always unavailable");
}

/// Writes a file that only its owner can read. The program rejects other pepper files.
fn write_private(file: &Path, text: &str) {
    fs::write(file, text).unwrap();
    fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
}

/// Starts a server with a pepper file, and returns its first key and the secrets to search for.
pub(crate) fn start(arguments: &[&str], settings: &[(&str, &str)]) -> (Server, String, Canaries) {
    let folder = folder();
    fs::create_dir(folder.path().join("peppers")).unwrap();
    let peppers = format!("p1 {}\n", hex(PEPPER));
    let path = folder.path().join("peppers/file");
    write_private(&path, &peppers);
    let server = Server::start(
        folder,
        &[&["--pepper-file", "peppers/file"], arguments].concat(),
        settings,
    );
    let server = server.unwrap_or_else(|log| give_up(&format!("the server exited: {log}")));
    // The file is the operator's secret. It would be found in the server's folder.
    fs::remove_file(path).unwrap();
    let first = server.first_key();
    let mut canaries = constant_canaries();
    canaries.add_token("the first key", &first);
    (server, first, canaries)
}

/// Creates or rotates a key. Asserts that the response contains the new token once, and no other
/// secret.
fn issue(server: &Server, canaries: &mut Canaries, name: &str, request: String) -> String {
    let response = server.send_expecting_token(request);
    give_up_if_unavailable(&response);
    assert_eq!(response.status(), 201, "{}", response.body());
    let token = response.text("secret");
    let text = String::from_utf8(response.0).unwrap();
    assert_eq!(text.matches(secret_of(&token)).count(), 1);
    canaries.assert_absent("the response to a creation", text);
    canaries.add_token(name, &token);
    token
}

fn id_of(token: &str) -> String {
    format!("key_{}", &token["sk_live_".len()..][..16])
}

/// Performs every operation on keys. Returns the token of a key that is still active at the end.
pub(crate) fn run_lifecycle(server: &Server, first: &str, canaries: &mut Canaries) -> String {
    let send = |method: &str, path: &str, token: &str, body: &str, status: u16| -> RawResponse {
        let response = server.send(request(method, path, token, body));
        give_up_if_unavailable(&response);
        assert_eq!(
            response.status(),
            status,
            "{method} {path}: {}",
            response.body()
        );
        response
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
    let replayed = server.send(repeated);
    give_up_if_unavailable(&replayed);
    assert_eq!(replayed.status(), 200);

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
    assert!(page.body().contains("nextCursor"));
    send("GET", &at_one, &two, "", 200);
    send(
        "PATCH",
        &at_one,
        &two,
        r#"{"name":"uno","metadata":{"a":1}}"#,
        200,
    );
    // Pause the key, restrict it to other addresses, and take both back.
    for (update, status) in [
        (r#"{"enabled":false}"#, 401),
        (r#"{"enabled":true,"allowed_ips":["192.0.2.0/24"]}"#, 403),
        (r#"{"allowed_ips":null}"#, 200),
    ] {
        send("PATCH", &at_one, first, update, 200);
        send("GET", "/v1/whoami", &one, "", status);
        verify(&one);
    }
    send("GET", &format!("{BASE}/self"), &one, "", 200);

    let rotate = request("POST", &format!("{at_one}/rotate"), first, "{}");
    let three = issue(server, canaries, "key three", rotate);
    let denied = send("POST", &format!("{at_one}/rotate"), first, "{}", 409);
    assert!(denied.body().contains("not_rotatable"));
    // Present the id with the secret of another key, for keys in the cache and not.
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
    let expired = request(
        "POST",
        BASE,
        first,
        r#"{"name":"expired","expire_now":true}"#,
    );
    let expired = issue(server, canaries, "an expired key", expired);
    send("GET", "/v1/whoami", &expired, "", 401);
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

/// Sends requests with a token in wrong places.
pub(crate) fn attack(server: &Server, first: &str, token: &str) {
    for request in attacks::requests(first, token) {
        let status = server.send(&request).status();
        let text = String::from_utf8_lossy(&request);
        assert!(status != 500, "{text}");
        // Only a request that also presents the first key in the right place may succeed.
        assert!(
            text.contains(first) || !(200..300).contains(&status),
            "{text}"
        );
    }
    for request in attacks::incomplete_requests(first, token) {
        server.send_and_hang_up(request);
    }
}

/// Searches everything that a server has sent, logged and written.
pub(crate) fn search_output(server: &Server, canaries: &Canaries, when: &str) {
    canaries.assert_absent("a response", server.responses());
    let log = server.log();
    assert!(
        log.contains("API key created") && log.contains("API key denied"),
        "{when}"
    );
    for (name, bytes) in server.files() {
        canaries.assert_absent(&format!("{name} {when}"), bytes);
    }
}

/// Searches what `/proc` shows of the process to its own user and to others.
pub(crate) fn search_proc(server: &Server, canaries: &Canaries) {
    canaries.assert_absent("the arguments", fs::read(server.proc("cmdline")).unwrap());
    // The environment contains the password that the test put there, and no other secret.
    let environment = fs::read(server.proc("environ")).unwrap();
    let hits = canaries.find(&environment);
    assert!(
        hits.iter().all(|hit| hit.secret == "the password"),
        "{hits:?}"
    );
    for entry in fs::read_dir(server.proc("fd")).unwrap() {
        let target = fs::read_link(entry.unwrap().path()).unwrap_or_default();
        // The process has no deleted files open, and no files outside its folder.
        let target = target.display().to_string();
        let own = target.starts_with(&server.folder.path().display().to_string());
        let is_file = target.starts_with('/') && !target.starts_with("/dev/");
        assert!(
            own && !target.ends_with(" (deleted)") || !is_file,
            "{target}"
        );
    }
}

fn assert_no_leak_over_a_file(arguments: &[&str]) {
    let (mut server, first, mut canaries) = start(arguments, &[]);
    let token = run_lifecycle(&server, &first, &mut canaries);
    attack(&server, &first, &token);
    for wanted in ["keywright.db", "keywright.db-wal", "keywright.db-shm"] {
        assert!(server.folder.path().join(wanted).exists(), "{wanted}");
    }
    search_proc(&server, &canaries);
    search_output(&server, &canaries, "while it runs");
    server.stop();
    search_output(&server, &canaries, "after it stopped");
}

#[test]
fn no_secret_leaks_over_a_file_with_hmac_sha256_and_the_text_log() {
    assert_no_leak_over_a_file(&["--hash", "hmac-sha256"]);
}

#[test]
fn no_secret_leaks_over_a_file_with_argon2id_and_the_json_log() {
    assert_no_leak_over_a_file(&["--hash", "argon2id", "--log-format", "json"]);
}

#[test]
fn no_secret_leaks_over_redis() {
    retry_while_unavailable(assert_no_leak_over_redis);
}

fn assert_no_leak_over_redis() {
    let redis = redis::Server::start();
    let monitor = redis.monitor();
    let url = redis.url();
    let (mut server, first, mut canaries) = start(
        &["--hash", "hmac-sha256", "--log-format", "json"],
        &[("KEYWRIGHT_STORE", &url)],
    );
    let token = run_lifecycle(&server, &first, &mut canaries);
    attack(&server, &first, &token);
    search_proc(&server, &canaries);
    search_output(&server, &canaries, "while it runs");
    server.stop();
    search_output(&server, &canaries, "after it stopped");
    for (name, bytes) in redis.files() {
        canaries.assert_absent(&name, bytes);
    }
    drop(redis);
    let commands = monitor.wait();
    let text = String::from_utf8_lossy(&commands).to_lowercase();
    assert!(text.contains("evalsha"));
    canaries.assert_absent("the commands", commands);
}

/// The host sets the attributes of the first key, and all other keys inherit them.
#[test]
fn the_attributes_of_keys_are_in_no_response_and_in_no_log() {
    let (mut server, first, mut canaries) = start(&["--hash", "hmac-sha256"], &[]);
    let store = SqliteStore::open(server.folder.path().join("keywright.db")).unwrap();
    let store: Arc<dyn KeyStore> = Arc::new(store);
    let keys = block_on(Keywright::open(Config::new(prefix()), Arc::clone(&store))).unwrap();
    let find = |token: &str| {
        let id = KeyId::parse(&id_of(token)).unwrap();
        block_on(store.find(&id)).unwrap().unwrap().key
    };
    let Key { id, workspace, .. } = find(&first);
    let attributes = Attributes::parse(ATTRIBUTES).unwrap();
    let issuer = keys.issuer();
    let operator = Caller::operator(workspace.clone());
    block_on(issuer.set_attributes(&operator, &id, Some(attributes.clone()))).unwrap();
    // The server notices the change within the bound of the store, and then the key creates others.
    let mut inherited = None;
    while inherited.is_none() {
        let body = r#"{"name":"probe"}"#;
        let response = server.send_expecting_token(request("POST", BASE, &first, body));
        inherited = find(&response.text("secret")).attributes;
    }
    canaries.add("the attributes", ATTRIBUTES.as_bytes());
    let token = run_lifecycle(&server, &first, &mut canaries);
    attack(&server, &first, &token);
    server.stop();
    assert_eq!(find(&token).attributes, Some(attributes));
    canaries.assert_absent("a response", server.responses());
    canaries.assert_absent("the log", server.log());
    canaries.add("the metadata", METADATA.as_bytes());
    let update = KeyUpdate::new().with_metadata(Metadata::parse(METADATA).unwrap());
    let third = KeyId::parse(&id_of(&token)).unwrap();
    block_on(issuer.update(&operator, &third, &update)).unwrap();
    let events = block_on(events(&*store, &workspace));
    let kinds = ["created", "updated", "rotated", "revoked"];
    for kind in kinds.map(|kind| format!("api_key.{kind}")) {
        assert!(
            events.iter().any(|event| event.kind.as_str() == kind),
            "{kind}"
        );
    }
    let changes = || events.iter().map(|event| &event.changes);
    assert!(
        changes().any(|changes| changes.attributes) && changes().any(|changes| changes.metadata)
    );
    canaries.assert_absent("an event", format!("{events:?}"));
    canaries.assert_absent("an event", serde_json::to_string(&events).unwrap());
}

/// Reads all events of a workspace.
async fn events(store: &dyn KeyStore, workspace: &Workspace) -> Vec<Event> {
    let mut list = ListEvents::<EventId>::new();
    let mut events = Vec::new();
    loop {
        let page = store
            .events(workspace, Environment::Live, &list)
            .await
            .unwrap();
        events.extend(page.events);
        list.after = page.next;
        if list.after.is_none() {
            return events;
        }
    }
}

/// Only `keys create` and `keys rotate` print a token, and they print nothing else on standard
/// output.
#[test]
fn commands_print_a_token_only_on_standard_output_when_they_issue_it() {
    let folder = folder();
    let mut canaries = constant_canaries();
    let run = |arguments: &[&str], input: &str| run(folder.path(), arguments, input);
    let issued = |canaries: &mut Canaries, arguments: &[&str]| {
        let output = run(arguments, "");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        canaries.assert_absent("standard output", &output.stdout);
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
        (&["keys", "update", &id, "--name", "m", "--json"], ""),
        (&["keys", "disable", &id], ""),
        (&["keys", "enable", &id], ""),
        (&["keys", "verify", "--json"], &token),
        (&["keys", "verify"], &token[1..]),
        (&["keys", "verify", &token], ""),
        (&["keys", "get", &token], ""),
        (&["keys", "revoke", secret_of(&token)], ""),
        (&["keys", &token], ""),
        (&[&token], ""),
        (&["keys", "list", "--cursor", &token], ""),
        (&["keys", "update", &token, "--name", "m"], ""),
        (&["keys", "update", &id, "--allowed-ips", &token], ""),
        (&["keys", "update", &id, "--permissions", &token], ""),
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
    write_private(
        &folder.path().join("peppers"),
        &format!("p1 {}x\n", hex(PEPPER)),
    );
    let output = run(&["--pepper-file", "peppers", "keys", "list"], "");
    printed.extend([output.stdout, output.stderr].concat());
    canaries.assert_absent("the output of a command", printed);
}
