//! Updates of a key on all servers: a pause, permissions, the expiry and the addresses.

use std::time::Duration;

use keywright_core::{Clock, SystemClock};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::{
    FAST, Redis, Response, Server, id_of, keys, operator_key, request, until_available, wait_for,
    wait_for_staleness_bound,
};

/// Two servers over one store.
struct Pair {
    folder: TempDir,
    redis: Option<Redis>,
    admin: String,
    here: Server,
    there: Server,
}

impl Pair {
    fn over_sqlite() -> Self {
        Self::start(tempdir().unwrap(), None)
    }

    fn over_redis() -> Self {
        let folder = tempdir().unwrap();
        let options = ["--appendonly", "yes", "--appendfsync", "no"];
        let redis = Redis::start(folder.path(), &options);
        Self::start(folder, Some(redis))
    }

    fn start(folder: TempDir, redis: Option<Redis>) -> Self {
        let url = redis
            .as_ref()
            .map_or("sqlite:keywright.db", |redis| &redis.url);
        let options = [&FAST[..], &["--store", url]].concat();
        let admin = operator_key(folder.path(), &options);
        let [here, there] = [(); 2].map(|()| Server::start(folder.path(), &options));
        Self {
            admin,
            here,
            there,
            redis,
            folder,
        }
    }

    /// Creates a key that both servers have verified and cached.
    fn create(&self, body: &Value) -> Key {
        let created = self.here.create(&self.admin, &body.to_string());
        assert_eq!(created.status, 201, "{created:?}");
        let key = Key {
            path: created.header("location").to_owned(),
            token: created.text("secret"),
        };
        for server in [&self.here, &self.there] {
            for _ in 0..2 {
                assert_eq!(server.whoami(&key.token).status, 200);
            }
        }
        key
    }

    /// Updates a key on one server.
    fn update(&self, key: &Key, change: &Value) {
        let updated = self
            .here
            .send("PATCH", &key.path, &self.admin, &change.to_string());
        assert_eq!(updated.status, 200, "{updated:?}");
    }

    /// Asserts that the server that has made a change applies it at once, and the other one within
    /// the bound of the store.
    fn assert_applied(&self, what: &str, applied: impl Fn(&Server) -> bool) {
        assert!(applied(&self.here), "{what}: not at once");
        if self.redis.is_some() {
            wait_for(what, || applied(&self.there).then_some(()));
        } else {
            wait_for_staleness_bound();
        }
        assert!(applied(&self.there), "{what}");
    }
}

/// A key that a story changes.
struct Key {
    path: String,
    token: String,
}

/// Runs a story with two servers over one SQLite file, and again over one Redis.
fn over_each_store(story: impl Fn(&Pair)) {
    story(&Pair::over_sqlite());
    story(&Pair::over_redis());
}

fn has_code(response: &Response, status: u16, code: &str) -> bool {
    response.status == status && response.json()["code"] == code
}

#[test]
fn a_paused_key_is_rejected_like_a_revoked_one_until_it_is_resumed() {
    over_each_store(|pair| {
        let gone = pair.create(&json!({"name": "gone"}));
        assert_eq!(
            pair.here.send("DELETE", &gone.path, &pair.admin, "").status,
            200
        );
        let paused = pair.create(&json!({"name": "paused"}));
        let rejection = |server: &Server, key: &Key| {
            let response = server.whoami(&key.token);
            let challenge = response.header("www-authenticate").to_owned();
            (response.without_request_id(), challenge)
        };
        for _ in 0..10 {
            pair.update(&paused, &json!({"enabled": false}));
            pair.assert_applied("the pause", |server| {
                server.whoami(&paused.token).status == 401
            });
            for server in [&pair.here, &pair.there] {
                assert_eq!(rejection(server, &paused), rejection(server, &gone));
                let created = server.create(&paused.token, r#"{"name":"n"}"#);
                assert_eq!(created.status, 401, "{created:?}");
            }
            let shown = pair.there.send("GET", &paused.path, &pair.admin, "").json();
            assert_eq!(
                (&shown["status"], &shown["enabled"]),
                (&json!("disabled"), &json!(false))
            );
            pair.update(&paused, &json!({"enabled": true}));
            pair.assert_applied("the resumption", |server| {
                server.whoami(&paused.token).status == 200
            });
        }
    });
}

#[test]
fn a_key_whose_permissions_are_narrowed_loses_them_on_the_other_server() {
    over_each_store(|pair| {
        for _ in 0..5 {
            let key = pair.create(&json!({"name": "n", "permissions": ["api_keys:*", "calls:*"]}));
            assert_eq!(
                pair.there.create(&key.token, r#"{"name":"child"}"#).status,
                201
            );
            pair.update(&key, &json!({"permissions": ["calls:read"]}));
            pair.assert_applied("the permissions", |server| {
                server.whoami(&key.token).json()["permissions"] == json!(["calls:read"])
            });
            let child = pair.there.create(&key.token, r#"{"name":"child"}"#);
            assert!(has_code(&child, 403, "insufficient_scope"), "{child:?}");
        }
    });
}

#[test]
fn a_shortened_expiry_holds_on_the_other_server() {
    over_each_store(|pair| {
        let after = |span| {
            SystemClock::default()
                .now()
                .saturating_add(span)
                .to_string()
        };
        for _ in 0..3 {
            let key = pair.create(&json!({"name": "n"}));
            let end = after(Duration::from_secs(3600));
            pair.update(&key, &json!({"expires_at": end}));
            pair.assert_applied("the expiry", |server| {
                server.whoami(&key.token).json()["expires_at"] == end.as_str()
            });
            // No child outlives the new end.
            let child = pair.there.create(&key.token, r#"{"name":"child"}"#);
            assert_eq!(child.text("expires_at"), end);

            wait_for(
                "the server receives a time that is still in the future",
                || {
                    let soon = json!({"expires_at": after(Duration::from_secs(1))}).to_string();
                    let updated = pair.here.send("PATCH", &key.path, &pair.admin, &soon);
                    (updated.status == 200).then_some(())
                },
            );
            for server in [&pair.here, &pair.there] {
                wait_for("the key expires", || {
                    (server.whoami(&key.token).status == 401).then_some(())
                });
            }
            let late = json!({"expires_at": null}).to_string();
            let late = pair.here.send("PATCH", &key.path, &pair.admin, &late);
            assert_eq!(late.status, 409, "{late:?}");
            assert_eq!(pair.there.whoami(&key.token).status, 401);
        }
    });
}

#[test]
fn changed_addresses_are_checked_by_the_other_server() {
    over_each_store(|pair| {
        let key = pair.create(&json!({"name": "n", "allowed_ips": ["127.0.0.0/8"]}));
        for _ in 0..5 {
            pair.update(&key, &json!({"allowed_ips": ["192.0.2.0/24", "::1"]}));
            pair.assert_applied("the foreign addresses", |server| {
                has_code(&server.whoami(&key.token), 403, "address_not_allowed")
            });
            // A client cannot choose its address.
            let forged = "x-forwarded-for: 192.0.2.7\r\nforwarded: for=192.0.2.7\r\n";
            let forged = request("GET", "/v1/whoami", &key.token, forged, "");
            for server in [&pair.here, &pair.there] {
                let rejected = server.raw(&forged);
                assert!(
                    has_code(&rejected, 403, "address_not_allowed"),
                    "{rejected:?}"
                );
            }
            pair.update(&key, &json!({"allowed_ips": ["127.0.0.1"]}));
            pair.assert_applied("the own address", |server| {
                server.whoami(&key.token).status == 200
            });
        }
        pair.update(&key, &json!({"allowed_ips": ["192.0.2.0/24"]}));
        pair.update(&key, &json!({"allowed_ips": null}));
        pair.assert_applied("any address", |server| {
            let me = server.whoami(&key.token);
            me.status == 200 && me.json()["allowed_ips"].is_null()
        });
    });
}

#[test]
fn exactly_one_of_concurrent_updates_of_a_version_is_made() {
    over_each_store(|pair| {
        let key = pair.create(&json!({"name": "0"}));
        for round in 0..10 {
            let read = pair.here.send("GET", &key.path, &pair.admin, "");
            let condition = format!("if-match: {}\r\n", read.header("etag"));
            let send = |server: &Server, writer: &str| {
                let name = format!("{round} {writer}");
                let change = json!({"name": name, "metadata": {"by": name}}).to_string();
                let request = request("PATCH", &key.path, &pair.admin, &condition, &change);
                until_available(|| server.raw(&request)).status
            };
            let statuses = std::thread::scope(|scope| {
                [(&pair.here, "here"), (&pair.there, "there")]
                    .map(|(server, writer)| scope.spawn(move || send(server, writer)))
                    .map(|sent| sent.join().unwrap())
            });
            let mut sorted = statuses;
            sorted.sort_unstable();
            assert_eq!(sorted, [200, 412], "{statuses:?}");
            // The settings of one update never mix with those of another.
            let shown = pair.there.send("GET", &key.path, &pair.admin, "").json();
            let winner = if statuses[0] == 200 { "here" } else { "there" };
            assert_eq!(shown["name"], format!("{round} {winner}"));
            assert_eq!(shown["metadata"]["by"], shown["name"]);
        }
    });
}

#[test]
fn the_command_line_pauses_and_resumes_a_key_of_running_servers() {
    over_each_store(|pair| {
        let key = pair.create(&json!({"name": "n"}));
        let url = pair
            .redis
            .as_ref()
            .map_or("sqlite:keywright.db", |redis| &redis.url);
        let id = id_of(&key.token);
        let run =
            |arguments: &[&str]| keys(pair.folder.path(), &[arguments, &["--store", url]].concat());
        // Both servers learn of this change from the store.
        let assert_status = |status: u16| {
            for server in [&pair.here, &pair.there] {
                if pair.redis.is_some() {
                    wait_for("the server applies the change", || {
                        (server.whoami(&key.token).status == status).then_some(())
                    });
                } else {
                    wait_for_staleness_bound();
                }
                assert_eq!(server.whoami(&key.token).status, status);
            }
        };
        run(&["disable", &id]);
        assert_status(401);
        run(&["enable", &id]);
        assert_status(200);
    });
}
