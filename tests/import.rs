//! `keywright import`: keys of another system, from the file to the verified token.

use std::{
    io::Write,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::{
    FAST, Server, assert_fails, assert_intact, events, keys, keys_json, keywright, operator_key,
    run, verify, wait_for,
};

/// A token of another system, and its SHA-256 as `sha256sum` and `base64` print it.
const TOKEN: &str = "acme_3ZJ8kD2mQx7VtYb1";
const HASH_HEX: &str = "74375c249dcaa3bfc192e522d8dd5d7f2a28b072438f4c2c3f4ae1d146cad3e5";
const HASH_BASE64: &str = "dDdcJJ3Ko7/BkuUi2N1dfyoosHJDj0wsP0rh0UbK0+U=";

/// The result of a run.
#[derive(Debug)]
struct Run {
    code: Option<i32>,
    printed: String,
    log: String,
}

impl Run {
    /// Runs `keywright import` with this file on standard input. It prints no part of a hash.
    #[track_caller]
    fn new(folder: &Path, arguments: &[&str], file: &[u8]) -> Self {
        let input = folder.join("keys.jsonl");
        std::fs::write(&input, file).unwrap();
        let output = keywright(folder, &[&["import"], arguments].concat())
            .stdin(std::fs::File::open(input).unwrap())
            .output()
            .unwrap();
        let run = Self {
            code: output.status.code(),
            printed: String::from_utf8(output.stdout).unwrap(),
            log: String::from_utf8(output.stderr).unwrap(),
        };
        for secret in [TOKEN, HASH_HEX, HASH_BASE64] {
            for part in secret.as_bytes().chunks(10) {
                let part = str::from_utf8(part).unwrap();
                let is_shown =
                    part.len() > 4 && (run.log.contains(part) || run.printed.contains(part));
                assert!(!is_shown, "{part}: {run:?}");
            }
        }
        run
    }

    #[track_caller]
    fn assert(&self, code: i32, printed: &str) {
        assert_eq!(
            (self.code, &*self.printed),
            (Some(code), printed),
            "{self:?}"
        );
    }

    /// The numbers of the lines that are reported, and the reasons.
    fn failures(&self) -> Vec<(u64, &str)> {
        let lines = self
            .log
            .lines()
            .filter_map(|line| line.strip_prefix("line "));
        lines
            .map(|line| {
                let (number, reason) = line.split_once(": ").unwrap();
                (number.parse().unwrap(), reason)
            })
            .collect()
    }
}

/// A folder with a store that has no keys.
fn empty_store() -> TempDir {
    let folder = tempdir().unwrap();
    let path = folder.path();
    operator_key(path, &FAST);
    let id = keys_json(path, &["list"])["data"][0]["id"].clone();
    keys(
        path,
        &["revoke", id.as_str().unwrap(), "--workspace", "default"],
    );
    folder
}

const SHA256: [&str; 2] = ["--format", "sha256-hex"];

fn with<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&SHA256[..], arguments].concat()
}

/// A hash for each number.
fn hash(number: usize) -> String {
    format!("{number:064x}")
}

/// The line of a key with this hash and name.
fn line(hash: &str, name: &str) -> String {
    let key = json!({
        "hash": hash,
        "name": name,
        "permissions": ["calls:read"],
        "owner": "user:42",
        "created_at": "2023-05-01T08:00:00Z",
    });
    format!("{key}\n")
}

fn lines(numbers: impl Iterator<Item = usize>) -> String {
    numbers.map(|number| line(&hash(number), "n")).collect()
}

/// The content of all tables.
fn dump(folder: &Path) -> Vec<String> {
    let file = Connection::open(folder.join("keywright.db")).unwrap();
    let read = |query: &str| {
        let mut statement = file.prepare(query).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let cells = (0..columns).map(|column| row.get_ref(column));
            cells
                .collect::<Result<Vec<_>, _>>()
                .map(|row| format!("{row:?}"))
        });
        rows.unwrap().map(Result::unwrap).collect::<Vec<_>>()
    };
    let tables = "SELECT 'SELECT * FROM ' || name FROM sqlite_schema WHERE type = 'table'";
    let mut statement = file.prepare(tables).unwrap();
    let queries = statement.query_map([], |row| row.get(0)).unwrap();
    let queries: Vec<String> = queries.map(Result::unwrap).collect();
    assert!(queries.len() > 3, "{queries:?}");
    queries.iter().flat_map(|query| read(query)).collect()
}

fn imported_count(folder: &Path) -> u64 {
    let listed = keys_json(folder, &["list", "--imported", "--limit", "1"]);
    listed["meta"]["total"].as_u64().unwrap()
}

#[test]
fn an_imported_token_works_on_a_running_server_and_nothing_else_does() {
    let folder = empty_store();
    let path = folder.path();
    let accept = ["--foreign-format", "unkey:acme_"];
    let server = Server::start(path, &[&FAST[..], &accept].concat());
    assert_eq!(server.whoami(TOKEN).status, 401);
    let import = ["--format", "unkey:acme_", "--workspace", "acme"];
    let run = Run::new(path, &import, line(HASH_BASE64, "Jane").as_bytes());
    run.assert(0, "imported 1, skipped 0, failed 0\n");
    assert!(run.log.contains("--foreign-format unkey:acme_"), "{run:?}");

    let me = wait_for("the server accepts the token", || {
        Some(server.whoami(TOKEN)).filter(|me| me.status == 200)
    });
    let me = me.json();
    assert_eq!(me["name"], "Jane");
    assert_eq!(me["owner"], "user:42");
    assert_eq!(me["created_at"], "2023-05-01T08:00:00.000Z");
    assert_eq!(me["imported"], true);
    for garbage in [
        "acme_3ZJ8kD2mQx7VtYb2",
        "acme_",
        "3ZJ8kD2mQx7VtYb1",
        // A stored hash is not a token.
        HASH_BASE64,
        HASH_HEX,
        &format!("acme_{HASH_HEX}"),
        &format!("foreign:sha256${HASH_BASE64}"),
    ] {
        assert_eq!(server.whoami(garbage).status, 401, "{garbage}");
    }
    // The commands verify it, and reject it once it is revoked.
    let command = [&accept[..], &FAST].concat();
    assert_eq!(keys_verify(path, TOKEN, &command), (0, "valid".into()));
    let other = [&command[..], &["--workspace", "default"]].concat();
    assert_eq!(keys_verify(path, TOKEN, &other), (1, "NOT_FOUND".into()));
    assert_eq!(keys_verify(path, TOKEN, &FAST), (1, "NOT_FOUND".into()));
    let id = me["id"].as_str().unwrap();
    keys(path, &["revoke", id, "--workspace", "acme"]);
    assert_eq!(keys_verify(path, TOKEN, &command), (1, "REVOKED".into()));
    wait_for("the server rejects the token", || {
        (server.whoami(TOKEN).status == 401).then_some(())
    });
}

/// Runs `keys verify` with a token that need not be one of this library's.
fn keys_verify(folder: &Path, token: &str, arguments: &[&str]) -> (i32, String) {
    let mut child = keywright(folder, &[&["keys", "verify"], arguments].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _ = writeln!(child.stdin.take().unwrap(), "{token}");
    let output = child.wait_with_output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), printed.trim_end().to_owned())
}

#[test]
fn a_token_of_ours_that_is_imported_stays_a_token_of_ours() {
    let folder = empty_store();
    let path = folder.path();
    // The hash of a native token says nothing about it, so the line is imported.
    let token = operator_key(path, &FAST);
    let sha256sum = Command::new("sh")
        .args(["-c", r#"printf %s "$0" | sha256sum"#, &token])
        .output()
        .unwrap();
    let hash = &String::from_utf8(sha256sum.stdout).unwrap()[..64];
    let run = Run::new(
        path,
        &with(&["--workspace", "acme"]),
        line(hash, "n").as_bytes(),
    );
    run.assert(0, "imported 1, skipped 0, failed 0\n");
    let accept = [&FAST[..], &["--foreign-format", "sha256-hex"]].concat();
    let (code, printed) = verify(path, &token, &[&accept[..], &["--json"]].concat());
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(
        (code, &printed["imported"]),
        (0, &json!(false)),
        "{printed}"
    );
}

#[test]
fn a_bad_line_fails_with_its_number_and_the_others_are_imported() {
    let folder = empty_store();
    let path = folder.path();
    let revoked = Run::new(path, &SHA256, line(HASH_HEX, "revoked").as_bytes());
    revoked.assert(0, "imported 1, skipped 0, failed 0\n");
    let listed = keys_json(path, &["list", "--imported"]);
    let revoked = listed["data"][0]["id"].as_str().unwrap();
    keys(path, &["revoke", revoked]);
    let taken = format!("{revoked} has this token, but its content differs");

    let mut valid = (1..).map(|number| line(&hash(number), "n"));
    let mut file = b"\xef\xbb\xbf".to_vec();
    let mut expected = Vec::new();
    let member = |name: &str, value: Value| {
        let mut key: Value = serde_json::from_str(&line(HASH_HEX, "n")).unwrap();
        key[name] = value;
        format!("{key}\n").into_bytes()
    };
    let too_late = member("expires_at", json!("2999-01-01T00:00:00Z"));
    let latin_1 = [
        &b"{\"name\": \"J\xf6rg\", \"hash\": \""[..],
        HASH_HEX.as_bytes(),
        b"\"}\n",
    ];
    let duplicate = line(HASH_HEX, "n").replacen('{', "{\"owner\": \"user:43\", ", 1);
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (line(HASH_HEX, "revoked").into(), &taken),
        (
            format!("{HASH_HEX},n,calls:read\n").into(),
            "not a JSON object",
        ),
        (
            format!("{{\"hash\": \"{HASH_HEX}\",\n").into(),
            "not a JSON object",
        ),
        (b"[]\n".into(), "not a JSON object"),
        (latin_1.concat(), "not UTF-8"),
        (
            b"{\0}\0\n".into(),
            "contains a NUL byte, so it is probably not UTF-8",
        ),
        ([&[b'x'; 200_000][..], b"\n"].concat(), "longer than 64 KiB"),
        (duplicate.into(), "owner is given twice"),
        (member("nmae", json!(TOKEN)), "nmae is not a field of a key"),
        (member(TOKEN, json!(1)), "a member is not a field of a key"),
        (member("name", json!("")), "name: should not be empty"),
        (member("hash", Value::Null), "hash: missing"),
        (
            member("hash", json!(&HASH_HEX[1..])),
            "hash: not a hash of this format",
        ),
        (
            member("hash", json!(TOKEN)),
            "hash: not a hash of this format",
        ),
        (
            member("public_part", json!("public")),
            "public_part: not used by this format",
        ),
        (
            member("created_at", json!("2999-01-01T00:00:00Z")),
            "created_at: must not be in the future",
        ),
        (
            member("created_at", json!(TOKEN)),
            "created_at: a time must be RFC 3339 and lie between the years 1970 and 9999",
        ),
        (too_late, "expires_at must not be later than "),
    ];
    for (bad, reason) in cases {
        file.extend(valid.next().unwrap().replace('\n', "\r\n").into_bytes());
        file.extend(b"\r\n");
        let line = file.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        file.extend(bad);
        expected.push((line, reason.to_owned()));
    }
    file.extend(valid.next().unwrap().trim_end().as_bytes());
    let count = expected.len();
    let before = dump(path);
    let arguments = with(&["--max-lifetime", "365d"]);
    let dry = Run::new(path, &[&arguments[..], &["--dry-run"]].concat(), &file);
    dry.assert(
        1,
        &format!("would import {}, skipped 0, failed {count}\n", count + 1),
    );
    assert_eq!(dump(path), before);
    let run = Run::new(path, &arguments, &file);
    run.assert(
        1,
        &format!("imported {}, skipped 0, failed {count}\n", count + 1),
    );
    for (run, verb) in [(&dry, "dry run"), (&run, "run")] {
        let failures = run.failures();
        assert_eq!(failures.len(), count, "{verb}: {failures:?}");
        for ((line, reason), (expected_line, expected)) in failures.iter().zip(&expected) {
            assert!(
                line == expected_line && reason.starts_with(expected),
                "{verb}: {line}: {reason}"
            );
        }
        let last = run.log.lines().last().unwrap();
        assert_eq!(
            last,
            "error: 18 lines failed: correct them, and run the same command again"
        );
    }
}

#[test]
fn a_hash_that_costs_too_much_and_a_public_part_used_twice_fail() {
    let folder = empty_store();
    let path = folder.path();
    let key = |hash: &str, part: &str, name: &str| {
        let key = json!({"hash": hash, "public_part": part, "name": name, "permissions": []});
        format!("{key}\n")
    };
    let bcrypt =
        |cost: u8| format!("$2b${cost:02}$wCvddqTNtmDn86AqE3Gjpe2phTFj9rK.Ymbzdj4MGYUTF1ysbHZyy");
    let argon2 =
        "$argon2id$v=19$m=4194304,t=1,p=1$SL7z8ObodahCuPXMaX9RGA$UyjenPOXi1dj13fMQSwCg1qEQGGhK3R3";
    let file = [
        key(&bcrypt(4), "one", "a"),
        key(&bcrypt(31), "two", "a"),
        key(argon2, "three", "a"),
        key(&bcrypt(4), "one", "b"),
        key(&bcrypt(4), "one", "a"),
        key(&bcrypt(5), "four", "a"),
    ]
    .concat();
    let format = ["--format", "password/_"];
    let dry = Run::new(
        path,
        &[&format[..], &["--dry-run"]].concat(),
        file.as_bytes(),
    );
    dry.assert(1, "would import 2, skipped 1, failed 3\n");
    let cost = "hash: the cost of the hash is above the maximum";
    let expected = [
        (2, cost),
        (3, cost),
        (4, "line 1 has this token, but its content differs"),
    ];
    assert_eq!(dry.failures(), expected);
    let run = Run::new(path, &format, file.as_bytes());
    run.assert(1, "imported 2, skipped 1, failed 3\n");
    let lines: Vec<u64> = run.failures().iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [2, 3, 4], "{run:?}");
}

#[test]
fn the_same_file_is_skipped_and_changed_content_is_reported() {
    let folder = empty_store();
    let path = folder.path();
    let file = lines(1..1_001);
    let run = Run::new(path, &with(&["--json"]), file.as_bytes());
    run.assert(0, "{\"imported\":1000,\"skipped\":0,\"failed\":0}\n");
    assert!(run.log.is_empty(), "{run:?}");
    let before = dump(path);
    for mode in [&["--json", "--dry-run"][..], &["--json"]] {
        let again = Run::new(path, &with(mode), file.as_bytes());
        again.assert(0, "{\"imported\":0,\"skipped\":1000,\"failed\":0}\n");
    }
    let changed = line(&hash(7), "another name") + &line(&hash(8), "n") + &line(&hash(1_001), "n");
    let run = Run::new(path, &with(&["--dry-run"]), changed.as_bytes());
    run.assert(1, "would import 1, skipped 1, failed 1\n");
    assert_eq!(dump(path), before);
    let run = Run::new(path, &SHA256, changed.as_bytes());
    run.assert(1, "imported 1, skipped 1, failed 1\n");
    assert!(
        run.failures()[0].1.contains("its content differs"),
        "{run:?}"
    );
    // A key of another workspace has each token.
    let elsewhere = Run::new(path, &with(&["--workspace", "other"]), changed.as_bytes());
    elsewhere.assert(1, "imported 0, skipped 0, failed 3\n");
    assert_eq!(
        elsewhere.failures()[0].1,
        "a key of another workspace has this token"
    );
    let created = events(path, &["--key", &newest_imported(path)]);
    assert_eq!(created[0]["type"], "api_key.created", "{created:?}");
}

fn newest_imported(folder: &Path) -> String {
    let listed = keys_json(folder, &["list", "--imported", "--limit", "1"]);
    listed["data"][0]["id"].as_str().unwrap().to_owned()
}

/// An import whose standard input is a pipe.
struct Piped(Child);

impl Piped {
    fn start(folder: &Path) -> Self {
        let child = keywright(folder, &[&["import"], &SHA256[..]].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Self(child.unwrap())
    }

    fn write(&mut self, text: &str) {
        let input = self.0.stdin.as_mut().unwrap();
        input.write_all(text.as_bytes()).unwrap();
    }

    fn signal(&self, signal: &str) {
        let id = self.0.id().to_string();
        let status = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(status.unwrap().success());
    }

    /// Returns the status, standard output and standard error.
    fn finish(self) -> (ExitStatus, String, String) {
        let output = self.0.wait_with_output().unwrap();
        let [printed, log] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status, printed, log)
    }
}

#[test]
fn a_run_that_is_killed_continues_with_the_same_command() {
    let folder = empty_store();
    let path = folder.path();
    let file = lines(1..2_001);
    // The store has what was read, although more input is to come.
    let mut killed = Piped::start(path);
    killed.write(&lines(1..701));
    let committed = wait_for("the first lines are committed", || {
        Some(imported_count(path)).filter(|count| *count >= 700)
    });
    assert_eq!(committed, 700);
    killed.write(&lines(701..1_201));
    killed.signal("KILL");
    let (status, printed, _) = killed.finish();
    assert_eq!((status.code(), &*printed), (None, ""));
    assert_intact(&path.join("keywright.db"));
    let run = Run::new(path, &with(&["--json"]), file.as_bytes());
    let summary: Value = serde_json::from_str(&run.printed).unwrap();
    let [imported, skipped] = ["imported", "skipped"].map(|name| summary[name].as_u64().unwrap());
    assert!((700..=1_200).contains(&skipped), "{summary}");
    assert_eq!(
        (run.code, imported + skipped),
        (Some(0), 2_000),
        "{summary}"
    );
    assert_eq!(imported_count(path), 2_000);
}

#[test]
fn an_interrupt_ends_the_run_after_the_lines_that_were_read() {
    let folder = empty_store();
    let path = folder.path();
    for (signal, numbers) in [("INT", 1..301), ("TERM", 301..601)] {
        let last = numbers.end as u64 - 1;
        let mut interrupted = Piped::start(path);
        interrupted.write(&lines(numbers));
        wait_for("the lines are committed", || {
            (imported_count(path) == last).then_some(())
        });
        // More input could follow.
        let input = interrupted.0.stdin.take();
        interrupted.signal(signal);
        let (status, printed, log) = interrupted.finish();
        drop(input);
        assert_eq!(status.code(), Some(1), "{log}");
        assert_eq!(printed, "imported 300, skipped 0, failed 0\n");
        let error = "error: stopped after line 300; run the same command again to continue: \
                     interrupted\n";
        assert_eq!(log, error);
    }
}

#[test]
fn an_input_that_cannot_be_read_fails_after_the_lines_before() {
    let folder = empty_store();
    let path = folder.path();
    // A folder can be opened and not read.
    let output = keywright(path, &[&["import"], &SHA256[..]].concat())
        .stdin(std::fs::File::open(path).unwrap())
        .output()
        .unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains("cannot read standard input"), "{log}");
    let utf_16: Vec<u8> = format!("\u{feff}{}", line(HASH_HEX, "n"))
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let run = Run::new(path, &SHA256, &utf_16);
    run.assert(1, "imported 0, skipped 0, failed 0\n");
    assert!(
        run.log.contains("it is UTF-16; convert it to UTF-8"),
        "{run:?}"
    );
}

#[test]
fn a_store_that_fails_stops_the_run_with_exit_code_3() {
    let folder = empty_store();
    let path = folder.path();
    // Another program holds the write lock for longer than the store waits.
    let lock = Connection::open(path.join("keywright.db")).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let run = Run::new(path, &SHA256, lines(1..1_001).as_bytes());
    assert_eq!(run.code, Some(3), "{run:?}");
    assert_eq!(run.failures(), []);
    let log = run.log.lines().last().unwrap();
    assert!(
        log.contains("run the same command again to continue"),
        "{run:?}"
    );
    lock.execute_batch("ROLLBACK").unwrap();
    let run = Run::new(path, &SHA256, lines(1..1_001).as_bytes());
    assert_eq!(
        (run.code, imported_count(path)),
        (Some(0), 1_000),
        "{run:?}"
    );
}

#[test]
fn retired_keys_expire_at_the_date_or_earlier() {
    let folder = empty_store();
    let path = folder.path();
    let mut early: Value = serde_json::from_str(&line(&hash(2), "early")).unwrap();
    early["expires_at"] = json!("2998-06-30T00:00:00Z");
    let file = format!("{}{early}\n", line(&hash(1), "late"));
    for _ in 0..2 {
        let run = Run::new(path, &with(&["--retire-by", "2999-06-30"]), file.as_bytes());
        assert_eq!(run.code, Some(0), "{run:?}");
    }
    let listed = keys_json(path, &["list", "--imported"]);
    for key in listed["data"].as_array().unwrap() {
        let year = if key["name"] == "late" { 2999 } else { 2998 };
        assert_eq!(key["expires_at"], format!("{year}-06-30T00:00:00.000Z"));
    }
    let retire = |arguments: &[&str], words: &[&str]| {
        assert_fails(path, &[&["import"], &SHA256[..], arguments].concat(), words);
    };
    retire(
        &["--retire-by", "2020-01-31"],
        &["--retire-by must be in the future"],
    );
    let beyond = ["--retire-by", "2999-01-31", "--max-lifetime", "30d"];
    retire(&beyond, &["--retire-by", "--max-lifetime"]);
}

#[test]
fn the_list_and_the_report_show_the_state_of_a_migration() {
    let folder = empty_store();
    let path = folder.path();
    let file = line(HASH_HEX, "used") + &lines(1..31);
    let run = Run::new(path, &SHA256, file.as_bytes());
    run.assert(0, "imported 31, skipped 0, failed 0\n");
    operator_key(path, &FAST);
    let accept = [&FAST[..], &["--foreign-format", "sha256-hex"]].concat();
    assert_eq!(keys_verify(path, TOKEN, &accept), (0, "valid".into()));

    let unused = wait_for("the use is recorded", || {
        let mut report = keys_json(path, &["report"]);
        let section = report["sections"]["imported_unused"].take();
        (section["count"] == 30).then_some(section)
    });
    let newest = unused["data"].as_array().unwrap();
    assert_eq!(newest.len(), 20);
    assert!(
        newest
            .iter()
            .all(|key| key["imported"] == true && key["name"] == "n")
    );
    let text = keys(path, &["report"]);
    assert!(
        text.contains("\nimported, and not used since: 30 keys\n"),
        "{text}"
    );
    assert_eq!(imported_count(path), 31);
    let listed = keys_json(path, &["list", "--imported", "--search", "used"]);
    assert_eq!(listed["data"][0]["imported"], true);
    let id = listed["data"][0]["id"].as_str().unwrap();
    let details = keys(path, &["get", id]);
    assert!(details.contains("imported     yes\n"), "{details}");

    let server = Server::start(path, &FAST);
    let admin = operator_key(path, &FAST);
    let list = |query: &str| server.send("GET", &format!("/v1/api-keys{query}"), &admin, "");
    assert_eq!(list("?imported=true").json()["meta"]["total"], 31);
    assert_eq!(list("?imported=false").json()["meta"]["total"], 34);
    assert_eq!(list("?imported=maybe").status, 400);
}

#[test]
fn formats_that_cannot_be_used_together_are_rejected() {
    let folder = empty_store();
    let path = folder.path();
    let five = "unkey:a_,unkey:b_,unkey:c_,unkey:d_,unkey:e_";
    let list = ["keys", "list"];
    let rejects = |formats: &str, words: &str| {
        let output = keywright(path, &list)
            .env("KEYWRIGHT_FOREIGN_FORMAT", formats)
            .output()
            .unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && log.contains(words), "{log}");
    };
    rejects(five, "more than four formats");
    rejects(
        "unkey,better-auth",
        "unkey and better-auth, which are the same format",
    );
    rejects("unkeys", "expected unkey, sanctum");
    let accepted = [
        &list[..],
        &[
            "--foreign-format",
            "unkey:a_,sanctum",
            "--foreign-format",
            "sha512/_",
        ],
    ];
    assert!(run(path, &accepted.concat()).status.success());
}
