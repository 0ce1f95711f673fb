//! The command line: what it prints, and how it says that something is wrong.

use std::{fs, net::TcpListener, path::Path};

use rusqlite::Connection;
use tempfile::tempdir;

use crate::support::{Server, operator_key, run};

#[test]
fn create_prints_the_token_alone_or_the_whole_answer() {
    let folder = tempdir().unwrap();
    let output = run(folder.path(), &["keys", "create", "--name", "CI"]);
    assert!(output.status.success());
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed.trim_end().len(), 74);

    let output = run(
        folder.path(),
        &[
            "keys",
            "create",
            "--json",
            "--name",
            "CI",
            "--workspace",
            "acme",
            "--permissions",
            "calls:read,a",
            "--environment",
            "test",
            "--expires-in",
            "90d",
        ],
    );
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["name"], "CI");
    assert_eq!(
        answer["permissions"],
        serde_json::json!(["a", "calls:read"])
    );
    assert_eq!(answer["environment"], "test");
    assert!(answer["expires_at"].as_str().unwrap() > answer["created_at"].as_str().unwrap());
    let server = Server::start(folder.path(), &[]);
    assert_eq!(
        server.whoami(answer["secret"].as_str().unwrap()).status,
        200
    );
    // Without any permission.
    let nothing = operator_key(folder.path(), &["--permissions", ""]);
    assert_eq!(server.create(&nothing, r#"{"name":"n"}"#).status, 403);
    assert_eq!(server.whoami(&nothing).status, 200);
}

#[test]
fn help_tells_a_newcomer_what_to_do() {
    let folder = tempdir().unwrap();
    for arguments in [
        &["--help"][..],
        &["serve", "--help"],
        &["keys", "create", "--help"],
    ] {
        let output = run(folder.path(), arguments);
        assert!(output.status.success());
        let help = String::from_utf8(output.stdout).unwrap();
        for option in [
            "--store",
            "--prefix",
            "--hash",
            "--pepper-file",
            "KEYWRIGHT_STORE",
        ] {
            assert!(help.contains(option), "{option}: {help}");
        }
    }
    let version = run(folder.path(), &["--version"]);
    assert!(
        String::from_utf8(version.stdout)
            .unwrap()
            .starts_with("keywright 0.")
    );
}

/// Asserts that the program fails with one line on standard error that holds these words.
pub(crate) fn assert_fails(folder: &Path, arguments: &[&str], words: &[&str]) {
    let output = run(folder, arguments);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{arguments:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    assert_eq!(text.lines().count(), 1, "{arguments:?}: {text}");
    assert!(text.starts_with("error: "), "{arguments:?}: {text}");
    for word in words {
        assert!(text.contains(word), "{arguments:?}: {word}: {text}");
    }
}

#[test]
fn every_mistake_is_one_line_that_says_what_to_do() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    assert_fails(
        path,
        &["serve", "--first-key", "print", "--listen", &taken],
        &[&taken, "--listen"],
    );
    // The first key was not used up.
    let server = Server::start(path, &["--first-key", "print"]);
    assert_eq!(server.stop().1.lines().count(), 1);

    assert_fails(
        path,
        &["--prefix", "acme"],
        &["sk_", "acme_", "--prefix sk"],
    );
    assert_fails(
        path,
        &["--store", "mysql://user:hunter2@x"],
        &["sqlite:PATH", "redis://HOST:PORT"],
    );
    assert_fails(path, &["--store", "keys.db"], &["sqlite:PATH"]);
    assert_fails(path, &["--store", "sqlite:"], &["sqlite:PATH"]);
    assert_fails(path, &["--frobnicate"], &["--frobnicate", "--help"]);
    assert_fails(path, &["frobnicate"], &["frobnicate", "--help"]);
    assert_fails(path, &["--hash", "md5"], &["md5", "argon2id, hmac-sha256"]);
    assert_fails(path, &["--prefix", "SK"], &["SK", "a-z"]);
    assert_fails(path, &["serve", "--listen", "nowhere"], &["nowhere"]);
    assert_fails(path, &["--rate-limit", "-1"], &["-1", "--help"]);
    assert_fails(path, &["--rate-limit", "few"], &["few", "--rate-limit"]);
    assert_fails(path, &["--store", "sqlite://keys.db"], &["sqlite:PATH"]);
    assert_fails(path, &["--store", "sqlite:k.db?mode=ro"], &["sqlite:PATH"]);
    assert_fails(path, &["keys"], &["keys create", "--help"]);
    assert_fails(path, &["keys", "create"], &["--name"]);
    assert_fails(path, &["keys", "create", "--name", " "], &["empty"]);
    assert_fails(
        path,
        &["keys", "create", "--name", "n", "--permissions", "A"],
        &["a-z"],
    );
    assert_fails(
        path,
        &["keys", "create", "--name", "n", "--expires-in", "x"],
        &["--expires-in"],
    );
    assert_fails(
        path,
        &["keys", "create", "--name", "n", "--expires-in", "0s"],
        &["--expires-in"],
    );
    assert_fails(
        path,
        &["--store", "memory:", "keys", "create", "--name", "n"],
        &["memory:"],
    );
    assert_fails(path, &["--pepper-file", "nowhere"], &["nowhere"]);
    fs::write(path.join("peppers"), "p1 abcd\n").unwrap();
    assert_fails(
        path,
        &["--pepper-file", "peppers"],
        &["peppers", "line 1", "32"],
    );
    for store in [
        "mysql://user:hunter2@x",
        "redis://user:hunter2@x:port",
        "redis://user:hunter2@127.0.0.1:1",
    ] {
        let output = run(path, &["--store", store]);
        assert_eq!(output.status.code(), Some(1), "{store}");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("hunter2"));
    }
}

#[test]
fn a_database_that_cannot_be_used_is_left_as_it_is() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    for store in ["sqlite:nowhere/keys.db", "sqlite:/proc/keys.db", "sqlite:."] {
        assert_fails(
            path,
            &["--store", store],
            &[store.strip_prefix("sqlite:").unwrap()],
        );
    }
    fs::write(
        path.join("text"),
        "this is no database, and it is long enough to be one\n".repeat(99),
    )
    .unwrap();
    let foreign = Connection::open(path.join("foreign")).unwrap();
    foreign
        .execute_batch("CREATE TABLE keys (id); INSERT INTO keys VALUES (1)")
        .unwrap();
    drop(foreign);
    operator_key(path, &["--store", "sqlite:newer"]);
    let newer = Connection::open(path.join("newer")).unwrap();
    newer.pragma_update(None, "user_version", 999).unwrap();
    newer
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    drop(newer);
    for (name, word) in [
        ("text", "database"),
        ("foreign", "another program"),
        ("newer", "999"),
    ] {
        let before = fs::read(path.join(name)).unwrap();
        assert_fails(path, &["--store", &format!("sqlite:{name}")], &[name, word]);
        let arguments = [
            "--store",
            &format!("sqlite:{name}"),
            "keys",
            "create",
            "--name",
            "n",
        ];
        assert_fails(path, &arguments, &[name, word]);
        assert!(
            fs::read(path.join(name)).unwrap() == before,
            "{name} was changed"
        );
    }
}
