//! A change by one process is applied by the others within the staleness bound.

use tempfile::{TempDir, tempdir};

use crate::support::{
    Client, FAST, FAST_UNLIMITED, Response, Server, Times, id_of, keys, now, operator_key,
    under_load, wait_for, wait_for_staleness_bound,
};

/// Two servers over one file, and a key with all permissions.
struct Story {
    folder: TempDir,
    admin: String,
    here: Server,
    there: Server,
}

impl Story {
    fn start() -> Self {
        let folder = tempdir().unwrap();
        let admin = operator_key(folder.path(), &FAST);
        let [here, there] = [(); 2].map(|()| Server::start(folder.path(), &FAST_UNLIMITED));
        Self {
            folder,
            admin,
            here,
            there,
        }
    }

    /// Creates a key that the other server has verified and cached.
    fn cached_there(&self, client: &mut Client, creator: &str) -> Response {
        let key = self.here.create(creator, r#"{"name":"n"}"#);
        assert_eq!(client.whoami(&key.text("secret")), 200);
        assert_eq!(client.whoami(&key.text("secret")), 200);
        key
    }

    /// Revokes or pauses keys `times` times while both servers are busy. `revoke` returns the
    /// tokens that must be rejected from its acknowledgement on.
    fn revoke_under_load(
        &self,
        what: &str,
        times: usize,
        mut revoke: impl FnMut(&mut Client) -> Vec<String>,
    ) {
        let staleness = Times::default();
        let mut client = Client::connect(&self.there);
        let mut revoked = Vec::new();
        under_load(&[&self.here, &self.there], &self.admin, || {
            for _ in 0..times {
                let tokens = revoke(&mut client);
                let acknowledged = now();
                for token in &tokens {
                    staleness.add(client.staleness(token, acknowledged));
                }
                revoked.extend(tokens);
            }
        });
        staleness.print(what);
        for token in &revoked {
            assert_eq!(client.whoami(token), 401);
            assert_eq!(self.here.whoami(token).status, 401);
        }
    }
}

#[test]
fn two_hundred_revocations_are_applied_by_the_other_server_within_the_bound() {
    let story = Story::start();
    story.revoke_under_load("revoked by a server", 200, |client| {
        let key = story.cached_there(client, &story.admin);
        let path = key.header("location");
        let revoked = story.here.send("DELETE", path, &story.admin, "");
        assert_eq!(revoked.status, 200);
        vec![key.text("secret")]
    });
}

#[test]
fn a_rotation_without_overlap_is_applied_by_the_other_server_within_the_bound() {
    let story = Story::start();
    story.revoke_under_load("rotated by a server", 20, |client| {
        let key = story.cached_there(client, &story.admin);
        let path = format!("{}/rotate", key.header("location"));
        let now = r#"{"expire_previous":"now"}"#;
        let rotated = story.here.send("POST", &path, &story.admin, now);
        assert_eq!(rotated.status, 201, "{rotated:?}");
        assert_eq!(client.whoami(&rotated.text("secret")), 200);
        vec![key.text("secret")]
    });
}

#[test]
fn a_pause_is_applied_by_the_other_server_within_the_bound() {
    let story = Story::start();
    story.revoke_under_load("paused by a server", 20, |client| {
        let key = story.cached_there(client, &story.admin);
        let path = key.header("location");
        let pause = r#"{"enabled":false}"#;
        let paused = story.here.send("PATCH", path, &story.admin, pause);
        assert_eq!(paused.status, 200, "{paused:?}");
        vec![key.text("secret")]
    });
}

#[test]
fn a_cascade_is_applied_by_the_other_server_within_the_bound() {
    let story = Story::start();
    story.revoke_under_load("revoked by a cascade", 20, |client| {
        let top = story.cached_there(client, &story.admin);
        let mut tokens = vec![top.text("secret")];
        for _ in 0..3 {
            let child = story.cached_there(client, tokens.last().unwrap());
            tokens.push(child.text("secret"));
        }
        let path = format!("{}?cascade=true", top.header("location"));
        let revoked = story.here.send("DELETE", &path, &story.admin, "");
        assert_eq!(revoked.json()["revoked"], 4);
        tokens
    });
}

#[test]
fn a_revocation_by_the_command_line_is_applied_by_servers_within_the_bound() {
    let story = Story::start();
    story.revoke_under_load("revoked by the command line", 20, |client| {
        let token = story.cached_there(client, &story.admin).text("secret");
        keys(story.folder.path(), &["revoke", &id_of(&token)]);
        vec![token]
    });
}

#[test]
fn a_key_that_one_server_has_limited_cannot_create_longer_lived_keys_on_the_other() {
    let story = Story::start();
    let mut client = Client::connect(&story.there);
    for _ in 0..10 {
        let key = story.cached_there(&mut client, &story.admin);
        let sibling = story.here.create(&story.admin, r#"{"name":"n"}"#);
        let path = format!("{}/rotate", key.header("location"));
        let overlap = r#"{"expire_previous":3600}"#;
        let rotated = story.here.send("POST", &path, &story.admin, overlap);
        assert_eq!(rotated.status, 201, "{rotated:?}");
        // The other server may still have a cached copy of the key that never expires.
        let token = key.text("secret");
        let child = story.there.create(&token, r#"{"name":"n"}"#);
        let path = format!("{}/rotate", sibling.header("location"));
        let successor = story.there.send("POST", &path, &token, "");
        let late = r#"{"name":"n","expires_at":"9999-01-01T00:00:00Z"}"#;
        let rejected = story.there.create(&token, late);

        let path = key.header("location");
        let retired = story.here.send("GET", path, &story.admin, "");
        let expires_at = retired.text("expires_at");
        for created in [child, successor] {
            assert_eq!(created.status, 201, "{created:?}");
            assert_eq!(created.text("expires_at"), expires_at);
        }
        assert_eq!(rejected.status, 400, "{rejected:?}");
    }
}

#[test]
fn a_revocation_survives_a_kill_of_its_server_right_after_it() {
    let mut story = Story::start();
    let staleness = Times::default();
    let mut client = Client::connect(&story.there);
    for _ in 0..10 {
        let key = story.cached_there(&mut client, &story.admin);
        let token = key.text("secret");
        assert_eq!(story.here.whoami(&token).status, 200);
        let path = key.header("location");
        let revoked = story.here.send("DELETE", path, &story.admin, "");
        let acknowledged = now();
        assert_eq!(revoked.status, 200);
        story.here.kill();
        staleness.add(client.staleness(&token, acknowledged));
        story.here = Server::start(story.folder.path(), &FAST_UNLIMITED);
        assert_eq!(story.here.whoami(&token).status, 401);
        assert_eq!(client.whoami(&token), 401);
    }
    staleness.print("revoked by a server that was killed");
}

#[test]
fn a_server_that_was_suspended_does_not_use_its_stale_cache() {
    let story = Story::start();
    let mut client = Client::connect(&story.there);
    for _ in 0..10 {
        wait_for("a server is suspended without the write lock", || {
            let key = story.cached_there(&mut client, &story.admin);
            story.there.signal("STOP");
            let path = key.header("location");
            let revoked = story.here.send_once("DELETE", path, &story.admin, "");
            wait_for_staleness_bound();
            story.there.signal("CONT");
            if revoked.status == 503 {
                // The server was suspended in the middle of a write, and had locked the file.
                return None;
            }
            assert_eq!(revoked.status, 200, "{revoked:?}");
            assert_eq!(client.whoami(&key.text("secret")), 401);
            Some(())
        });
    }
}
