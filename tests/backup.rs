//! Backups of a store that is in use, and copies that were made by hand.

use std::{fs, path::Path};

use rusqlite::Connection;
use tempfile::tempdir;

use crate::support::{
    FAST, FAST_UNLIMITED, Server, assert_fails, assert_intact, id_of, keys, operator_key, run,
    wait_for,
};

fn copy_file_alone(from: &Path, to: &Path) {
    fs::copy(from.join("keywright.db"), to.join("keywright.db")).unwrap();
}

#[test]
fn bug_a_copy_of_a_running_server_without_its_log_looked_like_a_new_store() {
    let folder = tempdir().unwrap();
    let server = Server::start(
        folder.path(),
        &[&FAST_UNLIMITED[..], &["--first-key", "print"]].concat(),
    );
    let token = operator_key(folder.path(), &FAST);
    let created: Vec<String> = (0..200)
        .map(|_| server.create(&token, r#"{"name":"n"}"#).text("secret"))
        .collect();
    let last = id_of(&created[199]);
    // The server keeps running, so nothing closes the file.
    let copy = wait_for("a copy of the file alone is complete", || {
        let copy = tempdir().unwrap();
        copy_file_alone(folder.path(), copy.path());
        let output = run(copy.path(), &["keys", "get", &last]);
        output.status.success().then_some(copy)
    });
    let copied = Server::start(
        copy.path(),
        &[&FAST_UNLIMITED[..], &["--first-key", "print"]].concat(),
    );
    for token in [&token, &created[0], &created[199]] {
        assert_eq!(copied.whoami(token).status, 200);
    }
    let (status, printed, log) = copied.stop();
    assert!(status.success(), "{log}");
    assert_eq!(printed, "", "the copy got a first key");
}

#[test]
fn bug_a_copy_without_the_log_that_held_its_schema_got_a_first_key() {
    let folder = tempdir().unwrap();
    let copy = tempdir().unwrap();
    let live = Connection::open(folder.path().join("keywright.db")).unwrap();
    live.execute_batch("PRAGMA journal_mode = wal; CREATE TABLE keys (id)")
        .unwrap();
    copy_file_alone(folder.path(), copy.path());
    for arguments in [
        &["keys", "list"][..],
        &["serve", "--listen", "127.0.0.1:0", "--first-key", "print"],
        &["backup", "target.db"],
    ] {
        assert_fails(copy.path(), arguments, &["a copy without its -wal file"]);
    }
    assert!(!copy.path().join("target.db").exists());
}

#[test]
fn a_backup_of_a_running_server_is_restored_with_its_revoked_keys() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let token = operator_key(path, &FAST);
    let revoked = operator_key(path, &FAST);
    let server = Server::start(path, &FAST_UNLIMITED);
    let output = run(path, &["backup", "backup.db"]);
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout.is_empty() && output.stderr.is_empty());
    let backup = path.join("backup.db");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&backup).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    keys(path, &["revoke", &id_of(&revoked)]);
    assert!(server.stop().0.success());

    let restored = tempdir().unwrap();
    fs::rename(&backup, restored.path().join("keywright.db")).unwrap();
    let server = Server::start(restored.path(), &FAST);
    for token in [&token, &revoked] {
        assert_eq!(server.whoami(token).status, 200);
    }
    assert!(server.stop().0.success());
    assert_intact(&restored.path().join("keywright.db"));
}

#[test]
fn a_backup_overwrites_no_file_and_copies_only_sqlite() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    assert_fails(path, &["backup", "backup.db"], &["does not exist"]);
    operator_key(path, &FAST);
    fs::write(path.join("backup.db"), "mine").unwrap();
    assert_fails(path, &["backup", "backup.db"], &["backup.db exists"]);
    assert_eq!(fs::read(path.join("backup.db")).unwrap(), b"mine");
    assert_fails(path, &["backup", "keywright.db"], &["keywright.db exists"]);
    let missing = ["backup", "no folder/backup.db"];
    assert_fails(path, &missing, &["cannot copy the store", "No such file"]);
    let redis = ["backup", "b.db", "--store", "redis://127.0.0.1:1"];
    assert_fails(path, &redis, &["only a SQLite store"]);
    assert_fails(path, &["backup"], &["PATH"]);
    let help = run(path, &["backup", "--help"]);
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("keywright backup /backup/"), "{help}");
}
