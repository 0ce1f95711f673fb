//! `keywright keys report`, which has the same content as `GET /report`.

use rusqlite::Connection;
use serde_json::Value;
use tempfile::tempdir;

use crate::support::{FAST, Server, events, id_of, keys, keys_json, operator_key};

/// Returns the number of keys in each section of a report.
fn counts(report: &Value) -> [u64; 7] {
    [
        "never_expire",
        "expire_soon",
        "never_used",
        "unused",
        "all_permissions",
        "replaced_but_used",
        "imported_unused",
    ]
    .map(|section| report["sections"][section]["count"].as_u64().unwrap())
}

#[test]
fn a_report_lists_the_keys_that_deserve_attention() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let create = |arguments: &[&str]| operator_key(path, &[&FAST[..], arguments].concat());
    let read = ["--permissions", "calls:read"];
    let powerful = create(&["--expires-in", "90d"]);
    let soon = create(&[&read[..], &["--expires-in", "7d"]].concat());
    let forever = create(&read);
    let replaced = create(&[&read[..], &["--expires-in", "90d"]].concat());
    keys(path, &[&["rotate", &id_of(&replaced)], &FAST[..]].concat());
    let revoked = create(&[]);
    keys(path, &["revoke", &id_of(&revoked)]);
    create(&["--workspace", "other"]);
    let file = Connection::open(path.join("keywright.db")).unwrap();
    let used = |token: &str, at: i64| {
        let sql = "UPDATE keywright_keys SET last_used_at = ?2 WHERE id = CAST(?1 AS BLOB)";
        assert_eq!(file.execute(sql, (&id_of(token)[4..], at)), Ok(1));
    };
    used(&replaced, 4_102_444_800_000);
    used(&forever, 1_709_287_200_000);

    let report = keys_json(path, &["report"]);
    assert_eq!(report["meta"]["keysRead"], 6);
    // `replaced` expires after its overlap, and its successor was not used.
    assert_eq!(counts(&report), [1, 2, 3, 1, 1, 1, 0], "{report}");
    for (section, token) in [
        ("never_expire", &forever),
        ("unused", &forever),
        ("all_permissions", &powerful),
        ("replaced_but_used", &replaced),
    ] {
        assert_eq!(
            report["sections"][section]["data"][0]["id"],
            id_of(token),
            "{section}"
        );
    }
    assert!(!report.to_string().contains(&id_of(&revoked)), "{report}");
    let text = keys(path, &["report"]);
    for line in [
        "read 6 keys in the workspace default",
        "never expire: 1 key",
        "expire within 30 days: 2 keys",
        "never used: 3 keys",
        "not used for 90 days: 1 key",
        "all permissions: 1 key",
        "used after they were replaced: 1 key",
        "imported, and not used since: 0 keys",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}: {text}");
    }
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
    assert_eq!(text.matches(&id_of(&soon)).count(), 2, "{text}");

    // The API returns the same.
    let server = Server::start(path, &FAST);
    let admin = operator_key(path, &FAST);
    let from_api = server.send("GET", "/v1/api-keys/report", &admin, "");
    assert_eq!(from_api.status, 200, "{from_api:?}");
    let [mut from_api, mut printed] = [from_api.json(), keys_json(path, &["report"])];
    for report in [&mut from_api, &mut printed] {
        // The server has recorded a use of this key, and may not have stored it.
        for section in report["sections"].as_object_mut().unwrap().values_mut() {
            let keys = section["data"].as_array_mut().unwrap();
            keys.retain(|key| key["id"] != id_of(&admin));
        }
        let _ = report["sections"]["never_used"]["count"].take();
    }
    assert_eq!(from_api, printed);
}

#[test]
fn a_report_of_the_command_line_covers_every_key_of_a_large_workspace() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    operator_key(path, &[&FAST[..], &["--expires-in", "90d"]].concat());
    let file = Connection::open(path.join("keywright.db")).unwrap();
    let copied = file
        .execute(
            "INSERT INTO keywright_keys
             SELECT CAST(substr(id, 1, 11) || printf('%05d', n) AS BLOB), workspace, environment,
                 owner, name, permissions, enabled, parent, successor, predecessor, rotated_by,
                 iif(n % 3 = 0, NULL, expires_at), revoked_at, last_used_at, alias, hash, tag, version,
                 allowed_ips, attributes, metadata
             FROM keywright_keys, (WITH RECURSIVE numbers(n) AS
                 (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 24999)
                 SELECT n FROM numbers)",
            (),
        )
        .unwrap();
    assert_eq!(copied, 25_000);
    let report = keys_json(path, &["report"]);
    assert_eq!(report["meta"]["keysRead"], 25_001);
    assert_eq!(counts(&report), [8_334, 0, 25_001, 0, 25_001, 0, 0]);
    for (section, listed) in [("never_expire", 20), ("never_used", 20), ("expire_soon", 0)] {
        let keys = report["sections"][section]["data"].as_array().unwrap();
        assert_eq!(keys.len(), listed, "{section}");
        let newest_first = keys.is_sorted_by(|a, b| a["id"].as_str() > b["id"].as_str());
        assert!(newest_first, "{report}");
    }
    let text = keys(path, &["report"]);
    assert!(text.contains("\nnever expire: 8334 keys\n"), "{text}");
    assert!(text.contains("\n… and 8314 older\n"), "{text}");
    // A report is no change.
    assert_eq!(events(path, &[]).len(), 1);
    assert_eq!(report["meta"]["nextCursor"], Value::Null);
}
