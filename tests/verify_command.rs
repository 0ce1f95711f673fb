//! `keywright keys verify`, and tokens in the arguments of other commands.

use keywright_core::Environment;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{
    FAST, assert_fails, forge, operator_key, parse, run, run_with_input, secret_of, verify,
};

#[test]
fn verify_reports_by_its_exit_code_and_repeats_no_token() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let token = operator_key(path, &[&FAST[..], &["--workspace", "acme"]].concat());
    assert_eq!(verify(path, &token, &[]), (0, "valid".into()));
    assert_eq!(verify(path, &token, &["--workspace", "acme"]).0, 0);
    let elsewhere = verify(path, &token, &["--workspace", "default"]);
    assert_eq!(elsewhere, (1, "NOT_FOUND".into()));
    // With a different line end, and without a line end.
    for input in [format!("{token}\r\nmore\n"), token.clone()] {
        let output = run_with_input(path, &["keys", "verify"], &input);
        assert_eq!(output.status.code(), Some(0));
    }
    let stranger = operator_key(path, &FAST);
    let secret = parse(&stranger).secret();
    let wrong_secret = forge(Environment::Live, parse(&token).id(), &secret);
    let long = format!("{token}{}", "x".repeat(5_000));
    for wrong in [&wrong_secret, &long, &token[..60]] {
        let output = run_with_input(path, &["keys", "verify", "--json"], wrong);
        assert_eq!(output.status.code(), Some(1));
        let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(printed, json!({"valid": false, "code": "NOT_FOUND"}));
    }
    let file = Connection::open(path.join("keywright.db")).unwrap();
    file.execute("UPDATE keywright_keys SET expires_at = 1000", ())
        .unwrap();
    assert_eq!(
        verify(path, &token, &["--workspace", "acme"]),
        (1, "EXPIRED".into())
    );
    assert_eq!(
        verify(path, &token, &["--workspace", "other"]),
        (1, "NOT_FOUND".into())
    );

    // Undetermined.
    file.execute("UPDATE keywright_keys SET permissions = '!'", ())
        .unwrap();
    assert_eq!(verify(path, &token, &[]), (3, String::new()));
    assert_eq!(verify(path, &token, &["--store", "sqlite:nowhere.db"]).0, 3);
    assert!(!path.join("nowhere.db").exists());
    assert_eq!(run(path, &["keys", "verify"]).status.code(), Some(3));
    assert_eq!(
        run_with_input(path, &["keys", "verify"], " \n")
            .status
            .code(),
        Some(3)
    );
}

#[test]
fn an_error_does_not_repeat_a_token_in_the_wrong_argument() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let token = operator_key(path, &FAST);
    for arguments in [
        &["keys", "verify", &token][..],
        &["keys", "get", &token],
        &["keys", "revoke", &token],
        &["keys", "list", &token],
        &["keys", &token],
        &[&token],
        &["keys", "list", "--workspace", &format!("({token})")],
    ] {
        assert_fails(path, arguments, &[]);
        let log = String::from_utf8(run(path, arguments).stderr).unwrap();
        assert!(!log.contains(secret_of(&token)), "{log}");
    }
    assert_fails(path, &["keys", "verify", &token], &["standard input"]);
}

#[test]
fn an_error_does_not_repeat_a_token_in_a_path() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let token = operator_key(path, &FAST);
    let elsewhere = token.replacen("sk", "acme", 1);
    for token in [&token, &elsewhere] {
        let file = format!("sqlite:{token}");
        let folder = format!("sqlite:{token}/keys.db");
        for (arguments, words) in [
            (
                ["keys", "list", "--store", &file],
                "the file … does not exist;",
            ),
            (["keys", "list", "--pepper-file", token], "pepper file …:"),
            (
                ["serve", "--first-key=none", "--store", &folder],
                "…/keys.db",
            ),
        ] {
            assert_fails(path, &arguments, &[words]);
            let log = String::from_utf8(run(path, &arguments).stderr).unwrap();
            assert!(!log.contains(secret_of(token)), "{log}");
        }
    }
}
