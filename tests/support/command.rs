//! The command line of the program.

use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use super::{token::secret_of, wait::wait_for};

/// The variables that decide whether the program prints colours. CI servers set some of them.
const COLOURS: [&str; 6] = [
    "CI",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "COLORTERM",
    "NO_COLOR",
    "TERM",
];

/// Returns the program with arguments, to run in a folder. It ignores the environment's settings.
pub(crate) fn keywright(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keywright"));
    command
        .current_dir(folder)
        .args(arguments)
        .stdin(Stdio::null());
    for (name, _) in std::env::vars() {
        if name.starts_with("KEYWRIGHT_") || COLOURS.contains(&&*name) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs the program until it exits.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Output {
    keywright(folder, arguments).output().unwrap()
}

/// Runs the program until it exits, with `input` on its standard input.
pub(crate) fn run_with_input(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = keywright(folder, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The write fails if the program exits without reading its input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// Runs `keywright keys` with arguments, and returns what it prints. It must succeed, and runs
/// again while the store is unavailable.
#[track_caller]
pub(crate) fn keys(folder: &Path, arguments: &[&str]) -> String {
    succeed(folder, &[&["keys"], arguments].concat())
}

/// Runs `keywright purge` with arguments, and returns what it prints, like [`keys`].
#[track_caller]
pub(crate) fn purge(folder: &Path, arguments: &[&str]) -> String {
    succeed(folder, &[&["purge"], arguments].concat())
}

#[track_caller]
fn succeed(folder: &Path, arguments: &[&str]) -> String {
    wait_for("the store is available", || {
        let output = run(folder, arguments);
        let log = String::from_utf8(output.stderr).unwrap();
        if !output.status.success() && log.contains("unavailable") {
            return None;
        }
        assert!(output.status.success(), "{arguments:?}: {log}");
        Some(String::from_utf8(output.stdout).unwrap())
    })
}

/// Runs `keywright keys` with arguments and `--json`, and returns what it prints.
#[track_caller]
pub(crate) fn keys_json(folder: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&keys(folder, &[arguments, &["--json"]].concat())).unwrap()
}

/// Runs `keywright events --json` with arguments, and returns the events, oldest first.
#[track_caller]
pub(crate) fn events(folder: &Path, arguments: &[&str]) -> Vec<Value> {
    let arguments = [&["events", "--json"], arguments].concat();
    let output = run(folder, &arguments);
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {log}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let lines = printed.lines().rev();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Creates a key with `keywright keys create`, and returns its token.
#[track_caller]
pub(crate) fn operator_key(folder: &Path, arguments: &[&str]) -> String {
    let create = ["create", "--name", "from the operator"];
    let printed = keys(folder, &[&create, arguments].concat());
    printed.trim_end().to_owned()
}

/// Runs `keys verify`, and returns its exit code and output. Asserts that it prints no secret.
#[track_caller]
pub(crate) fn verify(folder: &Path, token: &str, arguments: &[&str]) -> (i32, String) {
    let all = [&["keys", "verify"], arguments].concat();
    let output = run_with_input(folder, &all, &format!("{token}\n"));
    let [printed, log] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    for text in [&printed, &log] {
        assert!(!text.contains(secret_of(token)), "{text}");
    }
    (output.status.code().unwrap(), printed.trim_end().to_owned())
}

/// Asserts that the program fails with one line on standard error that contains these words.
#[track_caller]
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
