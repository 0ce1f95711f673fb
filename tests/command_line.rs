//! The output and the errors of the command line.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt};

use rusqlite::Connection;
use tempfile::tempdir;

use crate::support::{Server, assert_fails, keywright, operator_key, run, write_private};

#[test]
fn create_prints_only_the_token_or_the_key_as_json() {
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
    let response: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(response["name"], "CI");
    assert_eq!(
        response["permissions"],
        serde_json::json!(["a", "calls:read"])
    );
    assert_eq!(response["environment"], "test");
    assert!(response["expires_at"].as_str().unwrap() > response["created_at"].as_str().unwrap());
    let server = Server::start(folder.path(), &[]);
    assert_eq!(
        server.whoami(response["secret"].as_str().unwrap()).status,
        200
    );
    // A key without permissions.
    let powerless = operator_key(folder.path(), &["--permissions", ""]);
    assert_eq!(server.create(&powerless, r#"{"name":"n"}"#).status, 403);
    assert_eq!(server.whoami(&powerless).status, 200);
}

#[test]
fn help_lists_the_global_options_of_every_command() {
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

#[test]
fn every_error_is_one_line_with_the_way_out() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert_fails(
        path,
        &["serve", "--first-key", "print", "--listen", &address],
        &[&address, "--listen"],
    );
    // The failed start did not use up the first key.
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
    assert_fails(
        path,
        &["keys", "lst"],
        &["did you mean 'list'?", "keywright keys --help"],
    );
    assert_fails(
        path,
        &["keys", "list", "--stats", "active"],
        &["did you mean '--status'?", "keywright keys list --help"],
    );
    assert_fails(
        path,
        &["--listn", "127.0.0.1:0"],
        &["did you mean '--listen'?", "keywright serve --help"],
    );
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
        &[
            "keys",
            "create",
            "--name",
            "n",
            "--expires-at",
            "2026-01-31",
        ],
        &["--expires-at", "future"],
    );
    assert_fails(
        path,
        &["--store", "memory:", "keys", "create", "--name", "n"],
        &["memory:"],
    );
    assert_fails(path, &["--pepper-file", "nowhere"], &["nowhere"]);
    write_private(&path.join("peppers"), "p1 abcd\n");
    assert_fails(
        path,
        &["--pepper-file", "peppers"],
        &["peppers", "line 1", "32"],
    );
    for store in [
        "mysql://user:hunter2@x",
        "redis://user:hunter2@x:port",
        &format!("redis://user:hunter2@{address}"),
    ] {
        let output = run(path, &["--store", store]);
        let is_unreachable = store.ends_with(&address);
        let code = if is_unreachable { 3 } else { 1 };
        assert_eq!(output.status.code(), Some(code), "{store}");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("hunter2"));
    }
}

#[test]
fn an_unusable_database_is_left_unchanged() {
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
        "this is not a database, but as long as one\n".repeat(99),
    )
    .unwrap();
    let foreign = Connection::open(path.join("foreign")).unwrap();
    foreign
        .execute_batch("CREATE TABLE keys (id); INSERT INTO keys VALUES (1)")
        .unwrap();
    drop(foreign);
    operator_key(path, &["--store", "sqlite:newer"]);
    let newer = Connection::open(path.join("newer")).unwrap();
    newer
        .execute(
            "UPDATE keywright_settings SET value = '999' WHERE name = 'schema_version'",
            [],
        )
        .unwrap();
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

/// An env file with Windows line endings sets such variables.
#[test]
fn a_carriage_return_at_the_end_of_a_variable_is_ignored() {
    let folder = tempdir().unwrap();
    let create = ["keys", "create", "--name", "n"];
    let output = keywright(folder.path(), &create)
        .env("KEYWRIGHT_STORE", "sqlite:k.db\r")
        .env("KEYWRIGHT_HASH", "hmac-sha256\r")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(folder.path().join("k.db").exists());
    assert!(!folder.path().join("k.db\r").exists());
}

#[test]
fn no_variable_accepts_a_control_character() {
    let folder = tempdir().unwrap();
    let help = [&["--help"][..], &["serve", "--help"]]
        .map(|arguments| String::from_utf8(run(folder.path(), arguments).stdout).unwrap())
        .concat();
    let variables: Vec<_> = help
        .split("[env: ")
        .skip(1)
        .map(|rest| rest.split(['=', ']']).next().unwrap())
        .filter(|name| name.starts_with("KEYWRIGHT_"))
        .collect();
    assert!(variables.contains(&"KEYWRIGHT_STORE"), "{variables:?}");
    assert!(variables.len() >= 10, "{variables:?}");
    for variable in variables {
        let output = keywright(folder.path(), &["serve"])
            .env(variable, "sqlite:k\rk.db")
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{variable}: {error}");
        assert!(error.contains("control character"), "{variable}: {error}");
        assert!(!error.contains("k.db"), "{variable}: {error}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_pepper_file_that_others_can_read_is_rejected() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let peppers = path.join("peppers");
    write_private(&peppers, &format!("p1 {}\n", "0f".repeat(32)));
    operator_key(path, &["--pepper-file", "peppers"]);
    fs::set_permissions(&peppers, fs::Permissions::from_mode(0o644)).unwrap();
    assert_fails(
        path,
        &["--pepper-file", "peppers", "keys", "list"],
        &["0644", "too open", "chmod 600 peppers"],
    );
    assert_fails(path, &["--pepper-file", "peppers"], &["chmod 600 peppers"]);
}
