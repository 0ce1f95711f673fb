//! The modes of the files, and files that another user has planted.

#![cfg(unix)]

use std::{
    env, fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Command,
};

use keywright_store_sqlite::{OpenError, SqliteStore};

use crate::{Folder, insert, sample};

const FILE: &str = "KEYWRIGHT_TEST_PRIVATE_FILE";

const FILES: [&str; 4] = ["keys.db", "keys.db-wal", "keys.db-shm", "keys.db-lock"];

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
#[ignore = "another test runs this in a separate process, with another umask"]
fn the_files_have_mode_0600() {
    let Ok(file) = env::var(FILE) else { return };
    let store = SqliteStore::open(&file).unwrap();
    insert(&store, &sample::record(1)).unwrap();
    for name in FILES {
        assert_eq!(
            mode(&Path::new(&file).with_file_name(name)),
            0o600,
            "{name}"
        );
    }
}

#[test]
fn bug_a_umask_changed_the_mode_of_the_files() {
    for umask in ["000", "022", "077", "277", "777"] {
        let folder = Folder::new();
        let test = env::current_exe().unwrap();
        let status = Command::new("sh")
            .args(["-c", r#"umask "$1" && exec "$0" --exact "$2" --ignored"#])
            .arg(test)
            .args([umask, "permissions::the_files_have_mode_0600"])
            .env(FILE, folder.file())
            .status()
            .unwrap();
        assert!(status.success(), "{umask}");
        for name in ["keys.db", "keys.db-lock"] {
            assert_eq!(mode(&folder.0.path().join(name)), 0o600, "{umask} {name}");
        }
    }
}

#[test]
fn bug_a_symbolic_link_in_place_of_the_lock_was_followed() {
    for victim_exists in [false, true] {
        let folder = Folder::new();
        let victim = folder.0.path().join("victim");
        if victim_exists {
            fs::write(&victim, "mine").unwrap();
        }
        symlink(&victim, folder.0.path().join("keys.db-lock")).unwrap();
        let rejected = SqliteStore::open(folder.file());
        assert!(
            matches!(&rejected, Err(OpenError::LockFile { path, .. }) if path.ends_with("keys.db-lock")),
            "{rejected:?}"
        );
        assert_eq!(victim.exists(), victim_exists);
    }
}

#[test]
fn a_symbolic_link_in_place_of_the_log_or_its_index_is_not_followed() {
    for name in ["keys.db-wal", "keys.db-shm"] {
        let folder = Folder::new();
        drop(folder.store());
        let victim = folder.0.path().join("victim");
        fs::write(&victim, "mine").unwrap();
        symlink(&victim, folder.0.path().join(name)).unwrap();
        let rejected = SqliteStore::open(folder.file());
        assert!(
            matches!(rejected, Err(OpenError::Open { .. })),
            "{rejected:?}"
        );
        assert_eq!(fs::read(&victim).unwrap(), b"mine");
    }
}

#[test]
fn a_pipe_in_place_of_the_lock_does_not_block() {
    let folder = Folder::new();
    let lock = folder.0.path().join("keys.db-lock");
    let made = Command::new("mkfifo").arg(&lock).status().unwrap();
    assert!(made.success());
    let rejected = SqliteStore::open(folder.file());
    assert!(
        matches!(rejected, Err(OpenError::LockFile { .. })),
        "{rejected:?}"
    );
}
