//! A caller that manages and verifies the keys of its workspace, which nobody else touches: it knows
//! what each answer must be.

use std::{collections::BTreeSet, mem, net::SocketAddr};

use serde_json::{Value, json};

use crate::{
    client::{Answer, Client},
    held::{Dice, Held, Keys},
    tally::Tally,
};

const KEYS: &str = "/v1/api-keys";
const VERIFY: &str = "/v1/api-keys/verify";
const WHOAMI: &str = "/v1/whoami";

/// Most keys that are worth something: one page shows them all.
const MOST: usize = 60;

/// One caller, on a connection that it keeps.
pub(crate) struct Caller {
    client: Option<Client>,
    token: String,
    id: String,
    keys: Keys,
    dice: Dice,
    names: u64,
    tally: Tally,
}

impl Caller {
    /// With a key that may do everything, in a workspace of its own.
    pub(crate) fn new(created: &Value, seed: u64) -> Self {
        Self {
            client: None,
            token: text(created, "secret"),
            id: text(created, "id"),
            keys: Keys::default(),
            dice: Dice::seeded(seed),
            names: 0,
            tally: Tally::default(),
        }
    }

    /// Leaves the connection that it has, if any, for a new one.
    pub(crate) fn connect(&mut self, address: SocketAddr) {
        self.client = Some(Client::connect(address));
    }

    /// Acts until told to stop.
    pub(crate) fn work(&mut self, goes_on: &(dyn Fn() -> bool + Sync)) -> Tally {
        while goes_on() {
            self.act();
        }
        mem::take(&mut self.tally)
    }

    /// Does one thing, or two where the second shows that the first was done.
    fn act(&mut self) {
        let few = self.keys.live.len() < 4;
        let many = self.keys.live.len() >= MOST;
        match self.dice.roll(100) {
            0..14 if !many => self.create(),
            14..16 => self.create_expired(),
            16..18 if !many => self.create_once(),
            18..20 => self.create_family(),
            _ if few => self.create(),
            0..32 => self.revoke(),
            32..38 => self.rotate(),
            38..44 => self.rename(),
            44..48 => self.list(),
            48..54 => self.look_at_dead(),
            54..58 => self.pipeline(),
            58..70 => self.verify(),
            _ => self.whoami(),
        }
    }

    /// Asserts that each key is what it is known to be.
    pub(crate) fn look_at_all(&mut self) {
        for key in self.keys.live.clone() {
            self.accepted(&key);
        }
        for (key, verdict) in self.keys.dead.clone() {
            self.refused(&key, verdict);
        }
        self.list();
    }

    fn create(&mut self) {
        let name = self.name();
        let answer = self.ask("create", "POST", KEYS, &json!({"name": name}));
        let key = self.held(answer.expect(201, "create"), name);
        self.accepted(&key);
        self.keys.live.push(key);
    }

    fn create_expired(&mut self) {
        let name = self.name();
        let body = json!({"name": name, "expire_now": true});
        let answer = self.ask("create", "POST", KEYS, &body);
        let key = self.held(answer.expect(201, "create expired"), name);
        self.refused(&key, "EXPIRED");
        self.keys.bury(key, "EXPIRED");
    }

    /// Twice, of which the second does nothing.
    fn create_once(&mut self) {
        let name = self.name();
        let body = json!({ "name": name }).to_string();
        let header = format!("idempotency-key: {name}\r\nhost: ");
        let request = crate::client::request("POST", KEYS, &self.token, &body);
        let request = request.replacen("host: ", &header, 1);
        let [first, second] = ["create once", "create once more"].map(|what| {
            let client = self.client.as_mut().unwrap();
            self.tally.time(what, || {
                client.write(&request);
                client.read()
            })
        });
        let key = self.held(first.expect(201, "create once"), name);
        let second = second.expect(200, "create once more");
        assert_eq!(second.header("idempotency-replayed"), "true");
        assert_eq!(second.json()["id"], key.id);
        assert_eq!(second.json()["secret"], Value::Null);
        self.accepted(&key);
        self.keys.live.push(key);
    }

    /// A key that creates another, and both revoked together.
    fn create_family(&mut self) {
        let [parent, child] = [self.name(), self.name()];
        let answer = self.ask("create", "POST", KEYS, &json!({"name": parent}));
        let parent = self.held(answer.expect(201, "create a parent"), parent);
        let body = json!({"name": child}).to_string();
        let answer = self.ask_as("create by a new key", &parent.token, "POST", KEYS, &body);
        let child = self.held(answer.expect(201, "create a child"), child);
        self.accepted(&child);
        let path = format!("{}?cascade=true", path(&parent));
        let answer = self.ask("revoke a family", "DELETE", &path, &Value::Null);
        assert_eq!(answer.expect(200, "revoke a family").json()["revoked"], 2);
        for key in [parent, child] {
            self.refused(&key, "REVOKED");
            self.keys.bury(key, "REVOKED");
        }
    }

    fn revoke(&mut self) {
        let key = self
            .keys
            .live
            .swap_remove(self.dice.roll(self.keys.live.len()));
        let answer = self.ask("revoke", "DELETE", &path(&key), &Value::Null);
        answer.expect(200, "revoke");
        self.refused(&key, "REVOKED");
        self.keys.bury(key, "REVOKED");
    }

    fn rotate(&mut self) {
        let place = self.dice.roll(self.keys.live.len());
        let old = self.keys.live[place].clone();
        let overlap = if self.dice.roll(2) == 0 { "now" } else { "24h" };
        let body = json!({ "expire_previous": overlap });
        let answer = self.ask("rotate", "POST", &(path(&old) + "/rotate"), &body);
        if old.rotated {
            answer.expect(409, "rotate again");
            return;
        }
        let new = self.held(answer.expect(201, "rotate"), old.name.clone());
        self.accepted(&new);
        self.keys.live[place].rotated = true;
        if overlap == "now" {
            self.keys.live.swap_remove(place);
            self.refused(&old, "REVOKED");
            self.keys.bury(old, "REVOKED");
        } else {
            self.accepted(&old);
        }
        self.keys.live.push(new);
    }

    fn rename(&mut self) {
        let place = self.dice.roll(self.keys.live.len());
        let name = self.name();
        let path = path(&self.keys.live[place]);
        let answer = self.ask("rename", "PATCH", &path, &json!({ "name": name }));
        assert_eq!(answer.expect(200, "rename").json()["name"], name);
        let answer = self.ask("get", "GET", &path, &Value::Null);
        assert_eq!(answer.expect(200, "get").json()["name"], name);
        self.keys.live[place].name = name;
    }

    /// Those that are active are known, all of them.
    fn list(&mut self) {
        let path = format!("{KEYS}?status=active&limit=100");
        let answer = self.ask("list", "GET", &path, &Value::Null);
        let list = answer.expect(200, "list").json();
        let data = list["data"].as_array().unwrap();
        let listed: BTreeSet<String> = data.iter().map(|item| text(item, "id")).collect();
        let live = self.keys.live.iter().map(|key| &key.id);
        let known = live.chain([&self.id]).cloned().collect();
        assert_eq!(listed, known);
        assert_eq!(list["meta"]["total"], known.len());
    }

    fn look_at_dead(&mut self) {
        let Some((key, verdict)) = self.keys.dead.back().cloned() else {
            return;
        };
        self.refused(&key, verdict);
        if verdict == "REVOKED" {
            let answer = self.ask("revoke again", "DELETE", &path(&key), &Value::Null);
            answer.expect(404, "revoke again");
        }
    }

    /// Many requests at once, whose answers come in their order.
    fn pipeline(&mut self) {
        let order: Vec<usize> = (0..8)
            .map(|_| self.dice.roll(self.keys.live.len()))
            .collect();
        let requests: String = order
            .iter()
            .map(|&place| crate::client::request("GET", WHOAMI, &self.keys.live[place].token, ""))
            .collect();
        let client = self.client.as_mut().unwrap();
        let first = self.tally.time("pipeline, to its first answer", || {
            client.write(&requests);
            client.read()
        });
        let rest: Vec<Answer> = order[1..].iter().map(|_| client.read()).collect();
        for (place, answer) in order.into_iter().zip([first].into_iter().chain(rest)) {
            let item = answer.expect(200, "pipeline").json();
            assert_eq!(item["id"], self.keys.live[place].id);
        }
    }

    fn verify(&mut self) {
        let key = self.keys.live[self.dice.roll(self.keys.live.len())].clone();
        let answer = self.ask("verify", "POST", VERIFY, &json!({"key": key.token}));
        let verdict = answer.expect(200, "verify").json();
        assert_eq!(verdict["valid"], true, "{verdict}");
        assert_eq!(verdict["id"], key.id);
        assert_eq!(verdict["name"], key.name);
    }

    fn whoami(&mut self) {
        let key = self.keys.live[self.dice.roll(self.keys.live.len())].clone();
        self.accepted(&key);
    }

    fn accepted(&mut self, key: &Held) {
        let answer = self.ask_as("whoami", &key.token, "GET", WHOAMI, "");
        let item = answer.expect(200, "whoami").json();
        assert_eq!(item["id"], key.id);
        assert_eq!(item["name"], key.name);
    }

    fn refused(&mut self, key: &Held, verdict: &str) {
        let answer = self.ask_as("whoami, refused", &key.token, "GET", WHOAMI, "");
        assert_eq!(answer.expect(401, verdict).json()["code"], "invalid_token");
        let body = json!({"key": key.token});
        let answer = self.ask("verify, refused", "POST", VERIFY, &body);
        let expected = json!({"valid": false, "code": verdict});
        assert_eq!(answer.expect(200, "verify").json(), expected);
    }

    fn ask(&mut self, what: &'static str, method: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let token = self.token.clone();
        self.ask_as(what, &token, method, path, &body)
    }

    fn ask_as(
        &mut self,
        what: &'static str,
        token: &str,
        method: &str,
        path: &str,
        body: &str,
    ) -> Answer {
        let client = self.client.as_mut().unwrap();
        self.tally
            .time(what, || client.send(method, path, token, body))
    }

    fn held(&self, answer: Answer, name: String) -> Held {
        let issued = answer.json();
        assert_eq!(issued["name"], name);
        Held {
            id: text(&issued, "id"),
            token: text(&issued, "secret"),
            name,
            rotated: false,
        }
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("{}-{}", self.id, self.names)
    }
}

fn path(key: &Held) -> String {
    format!("{KEYS}/{}", key.id)
}

fn text(value: &Value, member: &str) -> String {
    let text = value[member].as_str();
    text.unwrap_or_else(|| panic!("no {member}: {value}"))
        .to_owned()
}
