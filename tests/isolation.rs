//! An attacker can write to the database.

use keywright_core::{Environment, KeyId};
use rusqlite::Connection;
use tempfile::tempdir;

use crate::support::{FAST, Server, forge, operator_key, parse, run, wait_for, write_private};

#[test]
fn a_hash_copied_to_another_row_does_not_verify() {
    for hash in ["argon2id", "hmac-sha256"] {
        let folder = tempdir().unwrap();
        let [mine, victim] = ["mine", "victim"].map(|workspace| {
            operator_key(folder.path(), &["--hash", hash, "--workspace", workspace])
        });
        let database = Connection::open(folder.path().join("keywright.db")).unwrap();
        let copied = database
            .execute(
                "UPDATE keywright_keys
                 SET (hash, tag) = (SELECT hash, tag FROM keywright_keys WHERE id = ?1)
                 WHERE id = ?2",
                [parse(&mine).id().as_bytes(), parse(&victim).id().as_bytes()],
            )
            .unwrap();
        assert_eq!(copied, 1);
        let server = Server::start(folder.path(), &[]);
        assert_eq!(server.whoami(&mine).status, 200);
        // The victim's id with the attacker's secret, and the right checksum.
        let forged = forge(
            Environment::Live,
            parse(&victim).id(),
            &parse(&mine).secret(),
        );
        assert_eq!(server.whoami(&forged).status, 401);
        assert_eq!(server.whoami(&victim).status, 401);
    }
}

#[test]
fn a_row_moved_to_another_workspace_or_environment_does_not_verify() {
    for hash in ["argon2id", "hmac-sha256"] {
        for change in ["workspace = 'elsewhere'", "environment = 1 - environment"] {
            let folder = tempdir().unwrap();
            let token = operator_key(folder.path(), &["--hash", hash]);
            let database = Connection::open(folder.path().join("keywright.db")).unwrap();
            assert_eq!(
                database
                    .execute(&format!("UPDATE keywright_keys SET {change}"), [])
                    .unwrap(),
                1
            );
            let server = Server::start(folder.path(), &[]);
            assert_eq!(server.whoami(&token).status, 401, "{hash} {change}");
            let other = forge(
                Environment::Test,
                parse(&token).id(),
                &parse(&token).secret(),
            );
            assert_eq!(server.whoami(&other).status, 401, "{hash} {change}");
        }
    }
}

#[test]
fn a_damaged_record_is_a_500_and_never_accepted() {
    let folder = tempdir().unwrap();
    let token = operator_key(folder.path(), &FAST);
    for damage in [
        "hash = '$hmac-sha256$AAAA$AAAA'",
        "hash = '$argon2id$v=19$m=4294967295,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8'",
        "permissions = 'A B'",
        "workspace = ''",
    ] {
        let path = folder.path().join("keywright.db");
        let kept = folder.path().join("kept.db");
        std::fs::copy(&path, &kept).unwrap();
        let database = Connection::open(&path).unwrap();
        assert_eq!(
            database
                .execute(&format!("UPDATE keywright_keys SET {damage}"), [])
                .unwrap(),
            1
        );
        drop(database);
        let server = Server::start(folder.path(), &[]);
        let response = server.whoami(&token);
        assert_eq!(
            (response.status, response.text("code").as_str()),
            (500, "corrupt"),
            "{damage}"
        );
        server.stop();
        std::fs::rename(&kept, &path).unwrap();
    }
    assert_eq!(Server::start(folder.path(), &[]).whoami(&token).status, 200);
}

#[test]
fn a_hash_planted_next_to_a_valid_tag_is_reported_and_rejected_after_its_check() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    let unpeppered = run(path, &["serve", "--verify-by-tag"]);
    let error = String::from_utf8(unpeppered.stderr).unwrap();
    let expected = "error: --verify-by-tag (KEYWRIGHT_VERIFY_BY_TAG) needs --pepper-file\n";
    assert_eq!(error, expected);

    write_private(&path.join("peppers"), &format!("p1 {}", "11".repeat(32)));
    let options = ["--pepper-file", "peppers", "--verify-by-tag"];
    let [own, other] = [(); 2].map(|()| operator_key(path, &options[..2]));
    let database = Connection::open(path.join("keywright.db")).unwrap();
    let plant = "UPDATE keywright_keys
         SET hash = (SELECT hash FROM keywright_keys WHERE id = ?1) WHERE id = ?2";
    let ids = [&other, &own].map(|token| *parse(token).id());
    let planted = database.execute(plant, ids.each_ref().map(KeyId::as_bytes));
    assert_eq!(planted.unwrap(), 1);
    let server = Server::start(path, &options);
    assert_eq!(server.whoami(&other).status, 200);
    wait_for("the hash is checked", || {
        Some(server.whoami(&own).status).filter(|status| *status == 401)
    });
    assert_eq!(server.whoami(&other).status, 200);
    let (_, _, log) = server.stop();
    let reports: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
    let [report] = reports[..] else {
        panic!("{log}")
    };
    assert!(report.contains(&format!("key={}", ids[1])), "{log}");
}
