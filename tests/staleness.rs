//! What one process withdraws, the others refuse within the bound.

use tempfile::{TempDir, tempdir};

use crate::{
    client::{Client, Times, now, under_load},
    support::{Answer, Server, await_the_bound, operator_key, parse, run},
};

const FAST: [&str; 4] = ["--hash", "hmac-sha256", "--rate-limit", "0"];

/// Two servers over one file, and a key that may do everything.
struct Story {
    folder: TempDir,
    admin: String,
    here: Server,
    there: Server,
}

impl Story {
    fn start() -> Self {
        let folder = tempdir().unwrap();
        let admin = operator_key(folder.path(), &FAST[..2]);
        let [here, there] = [(); 2].map(|()| Server::start(folder.path(), &FAST));
        Self {
            folder,
            admin,
            here,
            there,
        }
    }

    /// A key that the other server has verified and remembers.
    fn known_there(&self, client: &mut Client, maker: &str) -> Answer {
        let key = self.here.create(maker, r#"{"name":"n"}"#);
        assert_eq!(client.whoami(&key.text("secret")), 200);
        assert_eq!(client.whoami(&key.text("secret")), 200);
        key
    }

    /// Withdraws keys again and again while both servers are busy. `withdraw` returns, once that is
    /// acknowledged, the tokens that must be refused.
    fn withdraw_often(
        &self,
        what: &str,
        times: usize,
        mut withdraw: impl FnMut(&mut Client) -> Vec<String>,
    ) {
        let staleness = Times::default();
        let mut client = Client::of(&self.there);
        let mut withdrawn = Vec::new();
        under_load(&[&self.here, &self.there], &self.admin, || {
            for _ in 0..times {
                let tokens = withdraw(&mut client);
                let acknowledged = now();
                for token in &tokens {
                    staleness.add(client.staleness(token, acknowledged));
                }
                withdrawn.extend(tokens);
            }
        });
        staleness.print(what);
        for token in &withdrawn {
            assert_eq!(client.whoami(token), 401);
            assert_eq!(self.here.whoami(token).status, 401);
        }
    }
}

#[test]
fn two_hundred_revocations_hold_on_the_other_server_within_the_bound() {
    let story = Story::start();
    story.withdraw_often("revoked by a server", 200, |client| {
        let key = story.known_there(client, &story.admin);
        let path = key.header("location");
        assert_eq!(
            story.here.send("DELETE", path, &story.admin, "").status,
            200
        );
        vec![key.text("secret")]
    });
}

#[test]
fn a_rotation_without_overlap_holds_on_the_other_server_within_the_bound() {
    let story = Story::start();
    story.withdraw_often("rotated by a server", 20, |client| {
        let key = story.known_there(client, &story.admin);
        let path = format!("{}/rotate", key.header("location"));
        let now = r#"{"expire_previous":"now"}"#;
        let rotated = story.here.send("POST", &path, &story.admin, now);
        assert_eq!(rotated.status, 201, "{rotated:?}");
        assert_eq!(client.whoami(&rotated.text("secret")), 200);
        vec![key.text("secret")]
    });
}

#[test]
fn a_cascade_holds_on_the_other_server_within_the_bound() {
    let story = Story::start();
    story.withdraw_often("reached by a cascade", 20, |client| {
        let top = story.known_there(client, &story.admin);
        let mut tokens = vec![top.text("secret")];
        for _ in 0..3 {
            let child = story.known_there(client, tokens.last().unwrap());
            tokens.push(child.text("secret"));
        }
        let path = format!("{}?cascade=true", top.header("location"));
        let revoked = story.here.send("DELETE", &path, &story.admin, "");
        assert_eq!(revoked.json()["revoked"], 4);
        tokens
    });
}

#[test]
fn a_revocation_by_the_command_line_holds_on_servers_within_the_bound() {
    let story = Story::start();
    story.withdraw_often("revoked by the command line", 20, |client| {
        let token = story.known_there(client, &story.admin).text("secret");
        let id = parse(&token).id().to_string();
        let revoked = run(story.folder.path(), &["keys", "revoke", &id]);
        assert!(revoked.status.success(), "{revoked:?}");
        vec![token]
    });
}

#[test]
fn a_key_that_one_server_gave_an_end_makes_nothing_without_on_the_other() {
    let story = Story::start();
    let mut client = Client::of(&story.there);
    for _ in 0..10 {
        let key = story.known_there(&mut client, &story.admin);
        let sibling = story.here.create(&story.admin, r#"{"name":"n"}"#);
        let path = format!("{}/rotate", key.header("location"));
        let overlap = r#"{"expire_previous":60}"#;
        let rotated = story.here.send("POST", &path, &story.admin, overlap);
        assert_eq!(rotated.status, 201, "{rotated:?}");
        // The other server has not heard of it yet.
        let token = key.text("secret");
        let child = story.there.create(&token, r#"{"name":"n"}"#);
        let path = format!("{}/rotate", sibling.header("location"));
        let successor = story.there.send("POST", &path, &token, "");
        let late = r#"{"name":"n","expires_at":"9999-01-01T00:00:00Z"}"#;
        let refused = story.there.create(&token, late);

        let retired = story
            .here
            .send("GET", key.header("location"), &story.admin, "");
        let end = retired.text("expires_at");
        for made in [child, successor] {
            assert_eq!(made.status, 201, "{made:?}");
            assert_eq!(made.text("expires_at"), end);
        }
        assert_eq!(refused.status, 400, "{refused:?}");
    }
}

#[test]
fn what_was_revoked_stays_so_when_the_server_that_did_it_is_killed_at_once() {
    let mut story = Story::start();
    let staleness = Times::default();
    let mut client = Client::of(&story.there);
    for _ in 0..10 {
        let key = story.known_there(&mut client, &story.admin);
        let token = key.text("secret");
        assert_eq!(story.here.whoami(&token).status, 200);
        let path = key.header("location");
        let revoked = story.here.send("DELETE", path, &story.admin, "");
        let acknowledged = now();
        assert_eq!(revoked.status, 200);
        story.here.kill();
        staleness.add(client.staleness(&token, acknowledged));
        story.here = Server::start(story.folder.path(), &FAST);
        assert_eq!(story.here.whoami(&token).status, 401);
        assert_eq!(client.whoami(&token), 401);
    }
    staleness.print("revoked by a server that was killed");
}

#[test]
fn a_server_that_did_not_run_for_a_while_goes_by_nothing_that_it_knew_before() {
    let story = Story::start();
    let mut client = Client::of(&story.there);
    let mut refused = 0;
    for _ in 0..10 {
        let key = story.known_there(&mut client, &story.admin);
        story.there.signal("STOP");
        let path = key.header("location");
        let revoked = story.here.send("DELETE", path, &story.admin, "");
        await_the_bound();
        story.there.signal("CONT");
        if revoked.status == 200 {
            assert_eq!(client.whoami(&key.text("secret")), 401);
            refused += 1;
        } else {
            // It was stopped in the middle of a write, and had the file locked.
            assert_eq!(revoked.status, 503, "{revoked:?}");
        }
    }
    assert!(refused > 0);
}
