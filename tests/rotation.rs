//! Keys are replaced without an outage, by hand and with `rotate`.

use keywright_core::Timestamp;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::{FAST, Response, Server, operator_key, request, until_available, wait_for};

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

    /// Creates a key, and returns its path and token.
    fn create(&self, body: &Value) -> (String, String) {
        let created = self.server.create(&self.admin, &body.to_string());
        assert_eq!(created.status, 201, "{created:?}");
        (
            created.header("location").to_owned(),
            created.text("secret"),
        )
    }

    /// Returns a key.
    fn get(&self, path: &str) -> Value {
        let item = self.server.send("GET", path, &self.admin, "");
        assert_eq!(item.status, 200, "{item:?}");
        item.json()
    }

    fn rotate(&self, path: &str, token: &str, body: &Value) -> Response {
        let path = format!("{path}/rotate");
        self.server.send("POST", &path, token, &body.to_string())
    }

    fn accepts(&self, token: &str) -> bool {
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
fn a_key_is_replaced_by_hand_without_an_outage() {
    let story = Story::start();
    let (old_path, old) =
        story.create(&json!({"name": "billing service", "metadata": {"team": "b"}}));
    // Create the new key with the old one.
    let new = story
        .server
        .create(&old, r#"{"name":"billing service, new"}"#);
    assert_eq!(new.status, 201, "{new:?}");
    let (new_path, new) = (new.header("location").to_owned(), new.text("secret"));
    // Deploy the new key: both keys are in use.
    for _ in 0..3 {
        assert!(story.accepts(&old) && story.accepts(&new));
    }
    // Watch the old key until it is no longer used. The clock for last uses is coarse, and may be
    // behind the clock for creations.
    let watched = wait_for("the last use is after the creation", || {
        assert!(story.accepts(&old));
        let watched = story.get(&old_path);
        (millis(&watched["last_used_at"]) >= millis(&watched["created_at"])).then_some(watched)
    });
    assert_eq!(watched["is_expired"], false);
    assert_eq!(watched["revoked_at"], Value::Null);
    let used = millis(&watched["last_used_at"]);
    assert!(story.accepts(&new));
    assert_eq!(millis(&story.get(&old_path)["last_used_at"]), used);
    assert!(story.accepts(&old));
    assert!(millis(&story.get(&old_path)["last_used_at"]) >= used);
    // Revoke the old key. The new key is its child, but stays valid.
    let revoked = story.server.send("DELETE", &old_path, &new, "");
    assert_eq!(revoked.json(), json!({"message": "API key revoked."}));
    let again = story.server.send("DELETE", &old_path, &new, "");
    assert_eq!(again.status, 404);
    assert_eq!(story.server.create(&old, r#"{"name":"late"}"#).status, 401);
    assert_eq!(story.get(&new_path)["parent_id"], watched["id"]);
    let shown = story.get(&old_path);
    assert!(millis(&shown["revoked_at"]) >= millis(&shown["created_at"]));
    assert!(!story.accepts(&old) && story.accepts(&new));
    let story = story.restart();
    assert!(!story.accepts(&old) && story.accepts(&new));
    assert_eq!(story.get(&old_path), shown);
}

#[test]
fn a_key_can_rotate_itself_with_an_overlap() {
    let story = Story::start();
    for (body, seconds) in [
        (json!({}), 86_400),
        (json!({"expire_previous": "24h"}), 86_400),
        (json!({"expire_previous": 86_400}), 86_400),
        (json!({"expire_previous": 3_600}), 3_600),
        (json!({"expire_previous": 2_592_000}), 2_592_000),
    ] {
        let (path, mut token) = story.create(&json!({"name": "n", "metadata": {"a": [1]}}));
        let mut path = path;
        // The successor can be rotated like any other key.
        for _ in 0..2 {
            let rotated = story.rotate(&path, &token, &body);
            assert_eq!(rotated.status, 201, "{rotated:?}");
            let successor = rotated.json();
            let old = story.get(&path);
            assert_eq!(old["successor_id"], successor["id"], "{body}");
            assert_eq!(
                millis(&old["expires_at"]) - millis(&successor["created_at"]),
                seconds * 1_000,
                "{body}"
            );
            for field in [
                "name",
                "permissions",
                "environment",
                "metadata",
                "parent_id",
            ] {
                assert_eq!(successor[field], old[field], "{body}");
            }
            assert_eq!(successor["expires_at"], Value::Null, "{body}");
            assert!(story.accepts(&token) && story.accepts(&rotated.text("secret")));
            for again in [&body, &json!({"expire_previous": "now"})] {
                let again = story.rotate(&path, &token, again);
                let rejected = (again.status, again.text("code"));
                assert_eq!(rejected, (409, "not_rotatable".to_owned()), "{body}");
            }
            assert!(story.accepts(&token));
            path = rotated.header("location").to_owned();
            token = rotated.text("secret");
        }
    }
}

#[test]
fn a_leaked_key_is_replaced_at_once() {
    let story = Story::start();
    for expire_previous in [json!("now"), json!(0)] {
        let (path, leaked) = story.create(&json!({"name": "n"}));
        let body = json!({"expire_previous": expire_previous});
        let rotated = story.rotate(&path, &leaked, &body);
        assert_eq!(rotated.status, 201, "{rotated:?}");
        assert!(!story.accepts(&leaked) && story.accepts(&rotated.text("secret")));
        let old = story.get(&path);
        assert_eq!(old["successor_id"], rotated.json()["id"]);
        assert_eq!(old["revoked_at"], rotated.json()["created_at"]);
        assert_eq!(old["expires_at"], Value::Null);
        assert_eq!(story.rotate(&path, &leaked, &body).status, 401);
        assert_eq!(story.rotate(&path, &story.admin, &body).status, 404);
    }
}

#[test]
fn the_old_key_expires_after_the_overlap_and_the_new_one_does_not() {
    let story = Story::start();
    let (path, old) = story.create(&json!({"name": "n"}));
    let rotated = story.rotate(&path, &old, &json!({"expire_previous": 1}));
    let new = rotated.text("secret");
    wait_for("the old key expires", || {
        (!story.accepts(&old)).then_some(())
    });
    assert!(story.accepts(&new));
    let shown = story.get(&path);
    assert_eq!(
        (&shown["is_expired"], &shown["revoked_at"]),
        (&json!(true), &Value::Null)
    );
    let again = story.rotate(&path, &new, &json!({}));
    assert_eq!(
        (again.status, again.text("code")),
        (409, "not_rotatable".into())
    );
    // An overlap shortens a later expiry, and never extends an earlier expiry.
    let (path, _) = story.create(&json!({"name": "n", "expires_at": "2999-01-01T00:00:00Z"}));
    let end = story.get(&path)["expires_at"].clone();
    let created = millis(&story.get(&path)["created_at"]);
    let rotated = story.rotate(&path, &story.admin, &json!({"expire_previous": 2_592_000}));
    let successor = rotated.json();
    assert!(millis(&story.get(&path)["expires_at"]) < millis(&end));
    // The successor has the lifetime of the old key, from its creation on.
    assert_eq!(
        millis(&successor["expires_at"]) - millis(&successor["created_at"]),
        millis(&end) - created
    );
}

#[test]
fn concurrent_repeats_of_a_rotation_return_the_same_successor() {
    let story = Story::start();
    for expire_previous in ["now", "24h"] {
        for _ in 0..20 {
            let (path, _) = story.create(&json!({"name": "n"}));
            let body = json!({"expire_previous": expire_previous}).to_string();
            let header = "idempotency-key: once\r\n";
            let rotate = format!("{path}/rotate");
            let request = request("POST", &rotate, &story.admin, header, &body);
            let send = || until_available(|| story.server.raw(&request));
            let responses: Vec<Response> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(send)).collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap())
                    .collect()
            });
            let successor = story.get(&path)["successor_id"].clone();
            let mut created = 0;
            for response in &responses {
                assert_eq!(response.json()["id"], successor, "{response:?}");
                match response.status {
                    201 => created += 1,
                    status => assert_eq!((status, &response.json()["secret"]), (200, &Value::Null)),
                }
            }
            assert_eq!(created, 1, "{responses:?}");
        }
    }
}
