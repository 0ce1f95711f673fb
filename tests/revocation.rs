//! A revocation: on all servers at once, of one key or of all that came from it.

use std::{collections::HashSet, thread, time::Duration};

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::{Server, await_the_bound, operator_key};

#[test]
fn a_key_that_was_revoked_on_one_server_is_refused_by_the_other_within_100_ms() {
    let folder = tempdir().unwrap();
    let fast = ["--hash", "hmac-sha256"];
    let admin = operator_key(folder.path(), &fast);
    let servers = [(); 2].map(|()| Server::start(folder.path(), &fast));
    for _ in 0..20 {
        let key = servers[0].create(&admin, r#"{"name":"n"}"#);
        let secret = key.text("secret");
        assert_eq!(servers[1].whoami(&secret).status, 200);
        let path = key.header("location").to_owned();
        assert_eq!(servers[0].send("DELETE", &path, &admin, "").status, 200);
        assert_eq!(servers[0].whoami(&secret).status, 401);
        await_the_bound();
        assert_eq!(servers[1].whoami(&secret).status, 401);
    }
}

/// The tokens of all keys that came from the owner of this one, made until it is refused: children,
/// successors of those, and children of these.
fn grow(server: &Server, top: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    loop {
        let child = server.create(top, r#"{"name":"child"}"#);
        if child.status != 201 {
            assert_eq!(child.status, 401, "{child:?}");
            return tokens;
        }
        tokens.push(child.text("secret"));
        let rotate = format!("{}/rotate", child.header("location"));
        let successor = server.send("POST", &rotate, top, "");
        if successor.status != 201 {
            // The child is gone, or the top.
            assert!([401, 404].contains(&successor.status), "{successor:?}");
            continue;
        }
        let successor = successor.text("secret");
        let below = server.create(&successor, r#"{"name":"below the successor"}"#);
        tokens.push(successor);
        match below.status {
            201 => tokens.push(below.text("secret")),
            status => assert_eq!(status, 401, "{below:?}"),
        }
    }
}

#[test]
fn a_cascade_kills_the_whole_tree_while_it_grows_and_nothing_else() {
    let folder = tempdir().unwrap();
    let fast = ["--hash", "hmac-sha256"];
    let admin = operator_key(folder.path(), &fast);
    let elsewhere = ["--hash", "hmac-sha256", "--workspace", "elsewhere"];
    let elsewhere = operator_key(folder.path(), &elsewhere);
    let server = Server::start(folder.path(), &fast);
    // Beside the tree: a sister, her child, her successor, and a key of another workspace.
    let sister = server.create(&admin, r#"{"name":"sister"}"#);
    let niece = server.create(&sister.text("secret"), r#"{"name":"niece"}"#);
    let rotate = format!("{}/rotate", sister.header("location"));
    let renewed = server.send("POST", &rotate, &admin, "");
    let beside: Vec<String> = [&sister, &niece, &renewed]
        .map(|answer| answer.text("secret"))
        .into_iter()
        .chain([admin.clone(), elsewhere])
        .collect();
    let active = || {
        let list = server.send("GET", "/v1/api-keys?status=active&limit=100", &admin, "");
        let ids = list.json()["data"].as_array().unwrap().clone();
        ids.into_iter()
            .map(|key| key["id"].to_string())
            .collect::<HashSet<_>>()
    };
    let before = active();
    for round in 0..5 {
        let top = server.create(&admin, r#"{"name":"top"}"#);
        // In every other round the top has a successor, which makes keys too.
        let mut tops = vec![top.text("secret")];
        let path = top.header("location").to_owned();
        if round % 2 == 1 {
            let successor = server.send("POST", &format!("{path}/rotate"), &tops[0], "");
            tops.push(successor.text("secret"));
        }
        let (made, cascade) = thread::scope(|scope| {
            let makers: Vec<_> = (0..8)
                .map(|number| {
                    scope.spawn({
                        let (server, top) = (&server, &tops[number % tops.len()]);
                        move || grow(server, top)
                    })
                })
                .collect();
            thread::sleep(Duration::from_millis(30));
            let cascade = server.send("DELETE", &format!("{path}?cascade=true"), &admin, "");
            let made = makers.into_iter().flat_map(|maker| maker.join().unwrap());
            (made.collect::<Vec<_>>(), cascade)
        });
        assert_eq!(cascade.status, 200, "{cascade:?}");
        assert_eq!(cascade.json()["message"], "API key revoked.");
        assert!(!made.is_empty());
        for token in tops.iter().chain(&made) {
            assert_eq!(server.whoami(token).status, 401);
        }
        // Of what was made and never told, nothing lives either.
        assert_eq!(active(), before);
        let none_left = server.send("DELETE", &format!("{path}?cascade=true"), &admin, "");
        assert_eq!(none_left.status, 404, "{none_left:?}");
        for token in &beside {
            assert_eq!(server.whoami(token).status, 200);
        }
    }
}

#[test]
fn a_cascade_tells_how_many_it_has_reached_through_keys_that_were_revoked_before() {
    let folder = tempdir().unwrap();
    let fast = ["--hash", "hmac-sha256"];
    let admin = operator_key(folder.path(), &fast);
    let server = Server::start(folder.path(), &fast);
    let child = |token: &str| server.create(token, r#"{"name":"n"}"#);
    let top = child(&admin);
    let middle = child(&top.text("secret"));
    let rotate = format!("{}/rotate", middle.header("location"));
    let now = json!({"expire_previous": "now"}).to_string();
    let renewed = server.send("POST", &rotate, &admin, &now);
    let low = child(&renewed.text("secret"));
    let lowest = child(&low.text("secret"));
    assert_eq!(
        server
            .send("DELETE", low.header("location"), &admin, "")
            .status,
        200
    );
    // What a revoked key has made lives on, until it is reached.
    assert_eq!(server.whoami(&lowest.text("secret")).status, 200);
    let path = format!("{}?cascade=true", top.header("location"));
    let cascade = server.send("DELETE", &path, &admin, "");
    assert_eq!(
        cascade.json(),
        json!({"message": "API key revoked.", "revoked": 3})
    );
    for answer in [&top, &middle, &renewed, &low, &lowest] {
        assert_eq!(server.whoami(&answer.text("secret")).status, 401);
        let shown = server.send("GET", answer.header("location"), &admin, "");
        assert_ne!(shown.json()["revoked_at"], Value::Null);
    }
}
