//! Revocation of a key, or of a key and its descendants, on all servers.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{
    FAST, FAST_UNLIMITED, Redis, Response, Server, operator_key, wait_for, wait_for_staleness_bound,
};

#[test]
fn a_key_that_one_server_revokes_is_rejected_by_the_other_within_100_ms() {
    let folder = tempdir().unwrap();
    let admin = operator_key(folder.path(), &FAST);
    let servers = [(); 2].map(|()| Server::start(folder.path(), &FAST));
    for _ in 0..20 {
        let key = servers[0].create(&admin, r#"{"name":"n"}"#);
        let secret = key.text("secret");
        assert_eq!(servers[1].whoami(&secret).status, 200);
        let path = key.header("location").to_owned();
        assert_eq!(servers[0].send("DELETE", &path, &admin, "").status, 200);
        assert_eq!(servers[0].whoami(&secret).status, 401);
        wait_for_staleness_bound();
        assert_eq!(servers[1].whoami(&secret).status, 401);
    }
}

/// Creates children of `top`, their successors and children of these, until `top` is rejected.
/// Returns the tokens, and counts the children.
fn grow(server: &Server, top: &str, children: &AtomicUsize) -> Vec<String> {
    let mut tokens = Vec::new();
    loop {
        let child = server.create(top, r#"{"name":"child"}"#);
        if child.status != 201 {
            assert_eq!(child.status, 401, "{child:?}");
            return tokens;
        }
        tokens.push(child.text("secret"));
        children.fetch_add(1, Ordering::Relaxed);
        let rotate = format!("{}/rotate", child.header("location"));
        let successor = server.send("POST", &rotate, top, "");
        if successor.status != 201 {
            // The child or the top is revoked.
            assert!([401, 404].contains(&successor.status), "{successor:?}");
            continue;
        }
        let successor = successor.text("secret");
        let grandchild = server.create(&successor, r#"{"name":"child of the successor"}"#);
        tokens.push(successor);
        match grandchild.status {
            201 => tokens.push(grandchild.text("secret")),
            status => assert_eq!(status, 401, "{grandchild:?}"),
        }
    }
}

#[test]
fn a_cascade_revokes_a_tree_that_is_growing_and_nothing_else() {
    let folder = tempdir().unwrap();
    let admin = operator_key(folder.path(), &FAST);
    let elsewhere = [&FAST[..], &["--workspace", "elsewhere"]].concat();
    let elsewhere = operator_key(folder.path(), &elsewhere);
    let server = Server::start(folder.path(), &FAST_UNLIMITED);
    // Outside the tree: a sibling of its top, a child and a successor of the sibling, and a key of
    // another workspace.
    let sibling = server.create(&admin, r#"{"name":"sibling"}"#);
    let nephew = server.create(&sibling.text("secret"), r#"{"name":"nephew"}"#);
    let rotate = format!("{}/rotate", sibling.header("location"));
    let successor = server.send("POST", &rotate, &admin, "");
    let others: Vec<String> = [&sibling, &nephew, &successor]
        .map(|response| response.text("secret"))
        .into_iter()
        .chain([admin.clone(), elsewhere])
        .collect();
    let active = || {
        let list = server.send("GET", "/v1/api-keys?status=active&limit=100", &admin, "");
        let keys = list.json()["data"].as_array().unwrap().clone();
        keys.into_iter()
            .map(|key| key["id"].to_string())
            .collect::<HashSet<_>>()
    };
    let before = active();
    for round in 0..5 {
        let top = server.create(&admin, r#"{"name":"top"}"#);
        // In every other round the top has a successor, which also creates keys.
        let mut tops = vec![top.text("secret")];
        let path = top.header("location").to_owned();
        if round % 2 == 1 {
            let successor = server.send("POST", &format!("{path}/rotate"), &tops[0], "");
            tops.push(successor.text("secret"));
        }
        let children = AtomicUsize::new(0);
        let (created, cascade) = thread::scope(|scope| {
            let growing: Vec<_> = (0..8)
                .map(|number| {
                    let (server, top, children) = (&server, &tops[number % tops.len()], &children);
                    scope.spawn(move || grow(server, top, children))
                })
                .collect();
            wait_for("the tree grows", || {
                (children.load(Ordering::Relaxed) >= 8).then_some(())
            });
            let cascade = server.send("DELETE", &format!("{path}?cascade=true"), &admin, "");
            let created = growing
                .into_iter()
                .flat_map(|thread| thread.join().unwrap());
            (created.collect::<Vec<_>>(), cascade)
        });
        assert_eq!(cascade.status, 200, "{cascade:?}");
        assert_eq!(cascade.json()["message"], "API key revoked.");
        assert!(created.len() >= 8);
        for token in tops.iter().chain(&created) {
            assert_eq!(server.whoami(token).status, 401);
        }
        // This includes keys that were created, but that no response has returned.
        assert_eq!(active(), before);
        let repeated = server.send("DELETE", &format!("{path}?cascade=true"), &admin, "");
        assert_eq!(repeated.status, 404, "{repeated:?}");
        for token in &others {
            assert_eq!(server.whoami(token).status, 200);
        }
    }
}

#[test]
fn a_cascade_reaches_descendants_of_revoked_keys_and_returns_how_many_keys_it_revoked() {
    let folder = tempdir().unwrap();
    let admin = operator_key(folder.path(), &FAST);
    let server = Server::start(folder.path(), &FAST);
    let child = |token: &str| server.create(token, r#"{"name":"n"}"#);
    let top = child(&admin);
    let middle = child(&top.text("secret"));
    let rotate = format!("{}/rotate", middle.header("location"));
    let now = json!({"expire_previous": "now"}).to_string();
    let successor = server.send("POST", &rotate, &admin, &now);
    let low = child(&successor.text("secret"));
    let lowest = child(&low.text("secret"));
    let revoked = server.send("DELETE", low.header("location"), &admin, "");
    assert_eq!(revoked.status, 200);
    // The child of a revoked key stays valid until a cascade reaches it.
    assert_eq!(server.whoami(&lowest.text("secret")).status, 200);
    let path = format!("{}?cascade=true", top.header("location"));
    let cascade = server.send("DELETE", &path, &admin, "");
    assert_eq!(
        cascade.json(),
        json!({"message": "API key revoked.", "revoked": 3})
    );
    for response in [&top, &middle, &successor, &low, &lowest] {
        assert_eq!(server.whoami(&response.text("secret")).status, 401);
        let shown = server.send("GET", response.header("location"), &admin, "");
        assert_ne!(shown.json()["revoked_at"], Value::Null);
    }
}

/// Runs a story with a server over SQLite, and again over Redis.
fn over_each_store(story: impl Fn(&Server, &str)) {
    let folder = tempdir().unwrap();
    let admin = operator_key(folder.path(), &FAST);
    story(&Server::start(folder.path(), &FAST), &admin);

    let folder = tempdir().unwrap();
    let redis = Redis::start(folder.path(), &["--appendonly", "yes"]);
    let options = [&FAST[..], &["--store", &redis.url]].concat();
    let admin = operator_key(folder.path(), &options);
    story(&Server::start(folder.path(), &options), &admin);
}

/// Rotates a key with this token, and returns the response with the successor.
fn rotate(server: &Server, key: &Response, token: &str) -> Response {
    let path = format!("{}/rotate", key.header("location"));
    let successor = server.send("POST", &path, token, "");
    assert_eq!(successor.status, 201, "{successor:?}");
    successor
}

/// Revokes a key with its descendants, and returns how many keys the server revoked.
fn cascade(server: &Server, key: &Response, token: &str) -> Value {
    let path = format!("{}?cascade=true", key.header("location"));
    let cascade = server.send("DELETE", &path, token, "");
    assert_eq!(cascade.status, 200, "{cascade:?}");
    cascade.json()["revoked"].clone()
}

#[test]
fn a_leaked_key_that_rotated_another_is_revoked_with_its_successor() {
    over_each_store(|server, admin| {
        let [leaked, other] = [(); 2].map(|()| server.create(admin, r#"{"name":"n"}"#));
        let successor = rotate(server, &other, &leaked.text("secret"));
        let successor = successor.text("secret");
        let below = server.create(&successor, r#"{"name":"below"}"#);
        assert_eq!(cascade(server, &leaked, admin), json!(3));
        for token in [&leaked.text("secret"), &successor, &below.text("secret")] {
            assert_eq!(server.whoami(token).status, 401);
        }
        // The holder of the other key received none of these secrets.
        assert_eq!(server.whoami(&other.text("secret")).status, 200);
    });
}

#[test]
fn a_child_that_rotated_its_parent_is_revoked_with_the_successor() {
    over_each_store(|server, admin| {
        let parent = server.create(admin, r#"{"name":"parent"}"#);
        let child = server.create(&parent.text("secret"), r#"{"name":"child"}"#);
        let successor = rotate(server, &parent, &child.text("secret"));
        assert_eq!(cascade(server, &child, admin), json!(2));
        for revoked in [&child, &successor] {
            assert_eq!(server.whoami(&revoked.text("secret")).status, 401);
        }
        assert_eq!(server.whoami(&parent.text("secret")).status, 200);
    });
}
