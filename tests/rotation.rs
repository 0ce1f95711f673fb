//! A key is replaced without an outage: by hand, and with `rotate`.

use keywright_core::Timestamp;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::{Answer, Server, operator_key};

const FAST: [&str; 2] = ["--hash", "hmac-sha256"];

struct Story {
    folder: TempDir,
    admin: String,
    server: Server,
}

impl Story {
    fn start() -> Self {
        let folder = tempdir().unwrap();
        let admin = operator_key(folder.path(), &FAST);
        let server = Server::start(folder.path(), &FAST);
        Self {
            folder,
            admin,
            server,
        }
    }

    /// The path and the token of a key that its admin creates.
    fn key(&self, body: &Value) -> (String, String) {
        let created = self.server.create(&self.admin, &body.to_string());
        assert_eq!(created.status, 201, "{created:?}");
        (
            created.header("location").to_owned(),
            created.text("secret"),
        )
    }

    /// The key as it is shown to its admin.
    fn look(&self, path: &str) -> Value {
        let item = self.server.send("GET", path, &self.admin, "");
        assert_eq!(item.status, 200, "{item:?}");
        item.json()
    }

    fn rotate(&self, path: &str, token: &str, body: &Value) -> Answer {
        let path = format!("{path}/rotate");
        self.server.send("POST", &path, token, &body.to_string())
    }

    fn works(&self, token: &str) -> bool {
        let status = self.server.whoami(token).status;
        assert!(status == 200 || status == 401, "{status}");
        status == 200
    }

    fn restart(self) -> Self {
        self.server.stop();
        let server = Server::start(self.folder.path(), &FAST);
        Self { server, ..self }
    }
}

fn millis(time: &Value) -> i64 {
    Timestamp::parse(time.as_str().unwrap())
        .unwrap()
        .as_millis()
}

#[test]
fn the_rotation_playbook() {
    let story = Story::start();
    let (old_path, old) = story.key(&json!({"name": "billing service", "metadata": {"team": "b"}}));
    // Use the old key to create the new one.
    let new = story
        .server
        .create(&old, r#"{"name":"billing service, new"}"#);
    assert_eq!(new.status, 201, "{new:?}");
    let (new_path, new) = (new.header("location").to_owned(), new.text("secret"));
    // Deploy: some servers have the one, some the other.
    for _ in 0..3 {
        assert!(story.works(&old) && story.works(&new));
    }
    // Watch the old one, until nobody uses it any more.
    let watched = story.look(&old_path);
    assert_eq!(watched["is_expired"], false);
    assert_eq!(watched["revoked_at"], Value::Null);
    let used = millis(&watched["last_used_at"]);
    assert!(used >= millis(&watched["created_at"]));
    assert!(story.works(&new));
    assert_eq!(millis(&story.look(&old_path)["last_used_at"]), used);
    assert!(story.works(&old));
    assert!(millis(&story.look(&old_path)["last_used_at"]) >= used);
    // Revoke it: the new one lives, though it is its child.
    let revoked = story.server.send("DELETE", &old_path, &new, "");
    assert_eq!(revoked.json(), json!({"message": "API key revoked."}));
    let again = story.server.send("DELETE", &old_path, &new, "");
    assert_eq!(again.status, 404);
    assert_eq!(story.server.create(&old, r#"{"name":"late"}"#).status, 401);
    assert_eq!(story.look(&new_path)["parent_id"], watched["id"]);
    let shown = story.look(&old_path);
    assert!(millis(&shown["revoked_at"]) >= millis(&shown["created_at"]));
    assert!(!story.works(&old) && story.works(&new));
    let story = story.restart();
    assert!(!story.works(&old) && story.works(&new));
    assert_eq!(story.look(&old_path), shown);
}

#[test]
fn a_key_replaces_itself_with_an_overlap() {
    let story = Story::start();
    for (body, seconds) in [
        (json!({}), 86_400),
        (json!({"expire_previous": "24h"}), 86_400),
        (json!({"expire_previous": 86_400}), 86_400),
        (json!({"expire_previous": 3_600}), 3_600),
        (json!({"expire_previous": 2_592_000}), 2_592_000),
    ] {
        let (path, mut token) = story.key(&json!({"name": "n", "metadata": {"a": [1]}}));
        let mut path = path;
        // The successor is a key like any other, and is replaced in its turn.
        for _ in 0..2 {
            let rotated = story.rotate(&path, &token, &body);
            assert_eq!(rotated.status, 201, "{rotated:?}");
            let successor = rotated.json();
            let old = story.look(&path);
            assert_eq!(old["successor_id"], successor["id"], "{body}");
            assert_eq!(
                millis(&old["expires_at"]) - millis(&successor["created_at"]),
                seconds * 1_000,
                "{body}"
            );
            for same in [
                "name",
                "permissions",
                "environment",
                "metadata",
                "parent_id",
            ] {
                assert_eq!(successor[same], old[same], "{body}");
            }
            assert_eq!(successor["expires_at"], Value::Null, "{body}");
            assert!(story.works(&token) && story.works(&rotated.text("secret")));
            for again in [&body, &json!({"expire_previous": "now"})] {
                let again = story.rotate(&path, &token, again);
                let refused = (again.status, again.text("code"));
                assert_eq!(refused, (409, "not_rotatable".to_owned()), "{body}");
            }
            assert!(story.works(&token));
            path = rotated.header("location").to_owned();
            token = rotated.text("secret");
        }
    }
}

#[test]
fn a_key_that_leaked_is_replaced_at_once() {
    let story = Story::start();
    for expire_previous in [json!("now"), json!(0)] {
        let (path, leaked) = story.key(&json!({"name": "n"}));
        let body = json!({"expire_previous": expire_previous});
        let rotated = story.rotate(&path, &leaked, &body);
        assert_eq!(rotated.status, 201, "{rotated:?}");
        assert!(!story.works(&leaked) && story.works(&rotated.text("secret")));
        let old = story.look(&path);
        assert_eq!(old["successor_id"], rotated.json()["id"]);
        assert_eq!(old["revoked_at"], rotated.json()["created_at"]);
        assert_eq!(old["expires_at"], Value::Null);
        assert_eq!(story.rotate(&path, &leaked, &body).status, 401);
        assert_eq!(story.rotate(&path, &story.admin, &body).status, 404);
    }
}

#[test]
fn the_old_key_ends_with_the_overlap_and_the_new_one_does_not() {
    let story = Story::start();
    let (path, old) = story.key(&json!({"name": "n"}));
    let rotated = story.rotate(&path, &old, &json!({"expire_previous": 1}));
    let new = rotated.text("secret");
    while story.works(&old) {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(story.works(&new));
    let shown = story.look(&path);
    assert_eq!(
        (&shown["is_expired"], &shown["revoked_at"]),
        (&json!(true), &Value::Null)
    );
    let again = story.rotate(&path, &new, &json!({}));
    assert_eq!(
        (again.status, again.text("code")),
        (409, "not_rotatable".into())
    );
    // An overlap does not lengthen what ends sooner.
    let (path, _) = story.key(&json!({"name": "n", "expires_at": "2999-01-01T00:00:00Z"}));
    let end = story.look(&path)["expires_at"].clone();
    let created = millis(&story.look(&path)["created_at"]);
    let rotated = story.rotate(&path, &story.admin, &json!({"expire_previous": 2_592_000}));
    let successor = rotated.json();
    assert!(millis(&story.look(&path)["expires_at"]) < millis(&end));
    // The successor has the lifetime that the old one had, from now.
    assert_eq!(
        millis(&successor["expires_at"]) - millis(&successor["created_at"]),
        millis(&end) - created
    );
}

#[test]
fn a_repeat_that_comes_while_the_first_is_at_it_is_told_of_the_same_successor() {
    let story = Story::start();
    for expire_previous in ["now", "24h"] {
        for _ in 0..20 {
            let (path, _) = story.key(&json!({"name": "n"}));
            let body = json!({"expire_previous": expire_previous}).to_string();
            let request = format!(
                "POST {path}/rotate HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                 authorization: Bearer {}\r\ncontent-type: application/json\r\n\
                 idempotency-key: once\r\ncontent-length: {}\r\n\r\n{body}",
                story.admin,
                body.len()
            );
            let answers: Vec<Answer> = std::thread::scope(|scope| {
                let asked: Vec<_> = (0..8)
                    .map(|_| scope.spawn(|| story.server.raw(&request)))
                    .collect();
                asked
                    .into_iter()
                    .map(|asked| asked.join().unwrap())
                    .collect()
            });
            let successor = story.look(&path)["successor_id"].clone();
            let mut created = 0;
            for answer in &answers {
                assert_eq!(answer.json()["id"], successor, "{answer:?}");
                match answer.status {
                    201 => created += 1,
                    status => assert_eq!((status, &answer.json()["secret"]), (200, &Value::Null)),
                }
            }
            assert_eq!(created, 1, "{answers:?}");
        }
    }
}
