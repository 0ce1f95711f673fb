//! Files of a store that other users may read or write.

#![cfg(unix)]

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
};

use tempfile::tempdir;

use crate::support::{FAST, Server, operator_key};

#[test]
fn bug_a_file_that_others_may_read_was_used_without_a_warning() {
    for (name, file_mode) in [("keywright.db", 0o640), ("keywright.db-lock", 0o602)] {
        let folder = tempdir().unwrap();
        operator_key(folder.path(), &FAST);
        let (status, _, log) = Server::start(folder.path(), &FAST).stop();
        assert!(status.success(), "{log}");
        assert!(!log.contains("other users"), "{log}");
        let file = folder.path().join(name);
        fs::set_permissions(&file, Permissions::from_mode(file_mode)).unwrap();
        let (status, _, log) = Server::start(folder.path(), &FAST).stop();
        assert!(status.success(), "{log}");
        let warnings: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("WARN") && line.contains("other users"))
            .collect();
        assert!(
            warnings
                .iter()
                .any(|line| line.contains(&format!("{name}, which has mode {file_mode:04o}"))),
            "{log}"
        );
    }
}
