//! The user of the program may only read the file or its directory.

#![cfg(unix)]

use std::{
    fs::{self, Permissions},
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::Output,
};

use tempfile::tempdir;

use crate::support::{FAST, keywright, operator_key};

/// The id of the user `nobody`. The superuser may write everything.
const NOBODY: u32 = 65534;

/// Runs the program as a user that owns the folder and is not the superuser.
fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = keywright(folder, arguments);
    if rustix::process::geteuid().is_root() {
        let own = folder.join("program");
        if !own.exists() {
            fs::copy(command.get_program(), &own).unwrap();
        }
        let mut nobody = std::process::Command::new(own);
        nobody.args(command.get_args()).current_dir(folder);
        nobody.uid(NOBODY).gid(NOBODY);
        for (name, _) in command.get_envs() {
            nobody.env_remove(name);
        }
        command = nobody;
    }
    command.output().unwrap()
}

#[test]
fn a_read_only_store_is_rejected_with_one_line_and_left_unchanged() {
    for (file_mode, folder_mode) in [(0o400, 0o700), (0o600, 0o500), (0o400, 0o500)] {
        let folder = tempdir().unwrap();
        let path = folder.path();
        operator_key(path, &FAST);
        let file = path.join("keywright.db");
        if rustix::process::geteuid().is_root() {
            run(path, &["--version"]);
            fs::remove_file(path.join("keywright.db-lock")).unwrap();
            for owned in [path, &file] {
                chown(owned, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        let before = fs::read(&file).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(file_mode)).unwrap();
        fs::set_permissions(path, Permissions::from_mode(folder_mode)).unwrap();
        for arguments in [
            &["serve", "--listen", "127.0.0.1:0"][..],
            &["keys", "list"],
            &["keys", "create", "--name", "n"],
        ] {
            let output = run(path, arguments);
            let log = String::from_utf8(output.stderr).unwrap();
            println!("{log}");
            assert!(!output.status.success(), "{arguments:?}");
            let problem = [
                "keywright.db is read-only",
                "keywright.db could not be opened",
            ];
            assert!(problem.iter().any(|text| log.contains(text)), "{log}");
            assert_eq!(log.trim_end().lines().count(), 1, "{log}");
            assert_eq!(fs::read(&file).unwrap(), before);
        }
        fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
    }
}
