//! A caller that manages and verifies the keys of a separate workspace, and therefore knows what
//! each response must be.

use std::{collections::BTreeSet, mem, net::SocketAddr};

use serde_json::{Value, json};

use crate::{
    client::{Client, Response, request, request_with},
    keys::{Key, Keys},
    rng::Rng,
    tally::Tally,
    wait::wait_for,
};

const KEYS: &str = "/v1/api-keys";
const VERIFY: &str = "/v1/api-keys/verify";
const WHOAMI: &str = "/v1/whoami";

/// The maximum number of active keys, which fit on one page.
const MAX_ACTIVE: usize = 60;

/// A caller with a persistent connection.
pub(crate) struct Caller {
    client: Client,
    token: String,
    id: String,
    keys: Keys,
    rng: Rng,
    names: u64,
    tally: Tally,
}

impl Caller {
    /// Returns a caller with a new key, the only one in its workspace.
    pub(crate) fn new(address: SocketAddr, created: &Value, seed: u64) -> Self {
        Self {
            client: Client::connect(address),
            token: text(created, "secret"),
            id: text(created, "id"),
            keys: Keys::default(),
            rng: Rng::seeded(seed),
            names: 0,
            tally: Tally::default(),
        }
    }

    /// Replaces the connection with a new connection.
    pub(crate) fn reconnect(&mut self, address: SocketAddr) {
        self.client = Client::connect(address);
    }

    /// Acts while `running` returns `true`.
    pub(crate) fn work(&mut self, running: &(dyn Fn() -> bool + Sync)) -> Tally {
        while running() {
            self.act();
        }
        mem::take(&mut self.tally)
    }

    /// Performs one action, and checks its effect.
    fn act(&mut self) {
        let few = self.keys.active.len() < 4;
        let many = self.keys.active.len() >= MAX_ACTIVE;
        match self.rng.below(100) {
            0..14 if !many => self.create(),
            14..16 => self.create_expired(),
            16..18 if !many => self.create_with_repeat(),
            18..20 => self.create_family(),
            _ if few => self.create(),
            0..32 => self.revoke(),
            32..38 => self.rotate(),
            38..42 => self.rename(),
            42..44 => self.pause(),
            44..48 => self.list(),
            48..54 => self.check_inactive(),
            54..58 => self.pipeline(),
            58..70 => self.verify(),
            _ => self.whoami(),
        }
    }

    /// Asserts that each key is in its expected state.
    pub(crate) fn check_all(&mut self) {
        for key in self.keys.active.clone() {
            self.assert_accepted(&key);
        }
        for (key, code) in self.keys.inactive.clone() {
            self.assert_rejected(&key, code);
        }
        self.list();
    }

    fn create(&mut self) {
        let name = self.new_name();
        let token = self.token.clone();
        if let Some(key) = self.issue("create", &token, KEYS, json!({"name": name}), name) {
            self.assert_accepted(&key);
            self.keys.active.push(key);
        }
    }

    fn create_expired(&mut self) {
        let name = self.new_name();
        let token = self.token.clone();
        let body = json!({"name": name, "expire_now": true});
        if let Some(key) = self.issue("create expired", &token, KEYS, body, name) {
            self.assert_rejected(&key, "EXPIRED");
            self.keys.add_inactive(key, "EXPIRED");
        }
    }

    /// Creates a key, and repeats the request with the same idempotency key.
    fn create_with_repeat(&mut self) {
        let name = self.new_name();
        let token = self.token.clone();
        let body = json!({ "name": name });
        let Some(key) = self.issue("create once", &token, KEYS, body.clone(), name.clone()) else {
            return;
        };
        let header = idempotency_key(&name);
        let body = body.to_string();
        let request = request_with("POST", KEYS, &self.token, &header, &body);
        let (repeated, _) = self.exchange("create once more", &request);
        let repeated = repeated.expect(200, "create once more");
        assert_eq!(repeated.header("idempotency-replayed"), "true");
        assert_eq!(repeated.json()["id"], key.id);
        assert_eq!(repeated.json()["secret"], Value::Null);
        self.assert_accepted(&key);
        self.keys.active.push(key);
    }

    /// Creates a key and its child, and revokes both with a cascade.
    fn create_family(&mut self) {
        let [parent, child] = [self.new_name(), self.new_name()];
        let token = self.token.clone();
        let Some(parent) = self.issue("create", &token, KEYS, json!({"name": parent}), parent)
        else {
            return;
        };
        let body = json!({"name": child});
        let child = self.issue("create by a new key", &parent.token, KEYS, body, child);
        if let Some(child) = &child {
            self.assert_accepted(child);
        }
        let cascade = format!("{}?cascade=true", path(&parent.id));
        if let Some(response) = self.delete("revoke a family", &cascade) {
            // A child whose token is lost has been revoked before.
            let count = 1 + usize::from(child.is_some());
            assert_eq!(response.json()["revoked"], count);
        }
        for key in [parent].into_iter().chain(child) {
            self.assert_rejected(&key, "REVOKED");
            self.keys.add_inactive(key, "REVOKED");
        }
    }

    fn revoke(&mut self) {
        let key = self
            .keys
            .active
            .swap_remove(self.rng.below(self.keys.active.len()));
        self.delete("revoke", &path(&key.id));
        self.assert_rejected(&key, "REVOKED");
        self.keys.add_inactive(key, "REVOKED");
    }

    fn rotate(&mut self) {
        let index = self.rng.below(self.keys.active.len());
        let old = self.keys.active[index].clone();
        let overlap = if self.rng.below(2) == 0 { "now" } else { "24h" };
        let body = json!({ "expire_previous": overlap });
        let rotate = path(&old.id) + "/rotate";
        if old.rotated {
            let response = self.send("rotate again", "POST", &rotate, &body);
            response.expect(409, "rotate again");
            return;
        }
        let token = self.token.clone();
        let new = self.issue("rotate", &token, &rotate, body, old.name.clone());
        self.keys.active[index].rotated = true;
        if overlap == "now" {
            self.keys.active.swap_remove(index);
            self.assert_rejected(&old, "REVOKED");
            self.keys.add_inactive(old, "REVOKED");
        } else {
            self.assert_accepted(&old);
        }
        if let Some(new) = new {
            self.assert_accepted(&new);
            self.keys.active.push(new);
        }
    }

    fn rename(&mut self) {
        let index = self.rng.below(self.keys.active.len());
        let name = self.new_name();
        let path = path(&self.keys.active[index].id);
        let response = self.send("rename", "PATCH", &path, &json!({ "name": name }));
        assert_eq!(response.expect(200, "rename").json()["name"], name);
        let response = self.send("get", "GET", &path, &Value::Null);
        assert_eq!(response.expect(200, "get").json()["name"], name);
        self.keys.active[index].name = name;
    }

    /// Pauses a key, and resumes it.
    fn pause(&mut self) {
        let key = self.keys.active[self.rng.below(self.keys.active.len())].clone();
        for enabled in [false, true] {
            let change = json!({ "enabled": enabled });
            let response = self.send("pause", "PATCH", &path(&key.id), &change);
            assert_eq!(response.expect(200, "pause").json()["enabled"], enabled);
            if enabled {
                self.assert_accepted(&key);
            } else {
                self.assert_rejected(&key, "DISABLED");
            }
        }
    }

    /// Lists the active keys, and compares them with the expected ones.
    fn list(&mut self) {
        let path = format!("{KEYS}?status=active&limit=100");
        let response = self.send("list", "GET", &path, &Value::Null);
        let list = response.expect(200, "list").json();
        let data = list["data"].as_array().unwrap();
        let listed: BTreeSet<String> = data.iter().map(|key| text(key, "id")).collect();
        let active = self.keys.active.iter().map(|key| &key.id);
        let expected = active.chain([&self.id]).cloned().collect();
        assert_eq!(listed, expected);
        assert_eq!(list["meta"]["total"], expected.len());
    }

    fn check_inactive(&mut self) {
        let Some((key, code)) = self.keys.inactive.back().cloned() else {
            return;
        };
        self.assert_rejected(&key, code);
        if code == "REVOKED" {
            let response = self.send("revoke again", "DELETE", &path(&key.id), &Value::Null);
            response.expect(404, "revoke again");
        }
    }

    /// Sends several requests at once, whose responses come in the same order.
    fn pipeline(&mut self) {
        let order: Vec<usize> = (0..8)
            .map(|_| self.rng.below(self.keys.active.len()))
            .collect();
        let requests: String = order
            .iter()
            .map(|&index| request("GET", WHOAMI, &self.keys.active[index].token, ""))
            .collect();
        let client = &mut self.client;
        let first = self.tally.time("pipeline, to the first response", || {
            client.exchange(&requests)
        });
        let rest: Vec<Response> = order[1..].iter().map(|_| client.read()).collect();
        for (index, response) in order.into_iter().zip([first].into_iter().chain(rest)) {
            if response.status != 503 {
                let key = response.expect(200, "pipeline").json();
                assert_eq!(key["id"], self.keys.active[index].id);
            }
        }
    }

    fn verify(&mut self) {
        let key = self.keys.active[self.rng.below(self.keys.active.len())].clone();
        let response = self.send("verify", "POST", VERIFY, &json!({"key": key.token}));
        let result = response.expect(200, "verify").json();
        assert_eq!(result["valid"], true, "{result}");
        assert_eq!(result["id"], key.id);
        assert_eq!(result["name"], key.name);
    }

    fn whoami(&mut self) {
        let key = self.keys.active[self.rng.below(self.keys.active.len())].clone();
        self.assert_accepted(&key);
    }

    fn assert_accepted(&mut self, key: &Key) {
        let (response, _) = self.exchange("whoami", &request("GET", WHOAMI, &key.token, ""));
        let shown = response.expect(200, "whoami").json();
        assert_eq!(shown["id"], key.id);
        assert_eq!(shown["name"], key.name);
    }

    fn assert_rejected(&mut self, key: &Key, code: &str) {
        let whoami = request("GET", WHOAMI, &key.token, "");
        let (response, _) = self.exchange("whoami, rejected", &whoami);
        assert_eq!(response.expect(401, code).json()["code"], "invalid_token");
        let body = json!({"key": key.token});
        let response = self.send("verify, rejected", "POST", VERIFY, &body);
        let expected = json!({"valid": false, "code": code});
        assert_eq!(response.expect(200, "verify").json(), expected);
    }

    /// Creates or rotates a key. Returns `None` if its token is lost: a 503 may leave it open
    /// whether the key was created, and the repeat then returns the key without its token.
    fn issue(
        &mut self,
        what: &'static str,
        token: &str,
        path: &str,
        body: Value,
        name: String,
    ) -> Option<Key> {
        let unique = if path == KEYS {
            name.clone()
        } else {
            self.new_name()
        };
        let header = idempotency_key(&unique);
        let request = request_with("POST", path, token, &header, &body.to_string());
        let (response, repeated) = self.exchange(what, &request);
        if repeated && response.status == 200 {
            let id = text(&response.json(), "id");
            self.delete("revoke a lost key", &self::path(&id));
            return None;
        }
        let issued = response.expect(201, what).json();
        assert_eq!(issued["name"], name);
        Some(Key {
            id: text(&issued, "id"),
            token: text(&issued, "secret"),
            name,
            rotated: false,
        })
    }

    /// Revokes a key. Returns `None` if it was done by a request whose response was a 503.
    fn delete(&mut self, what: &'static str, path: &str) -> Option<Response> {
        let (response, repeated) = self.exchange(what, &request("DELETE", path, &self.token, ""));
        if repeated && response.status == 404 {
            return None;
        }
        Some(response.expect(200, what))
    }

    fn send(&mut self, what: &'static str, method: &str, path: &str, body: &Value) -> Response {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.exchange(what, &request(method, path, &self.token, &body))
            .0
    }

    /// Sends a request, and repeats it while the store is unavailable. Also returns whether it was
    /// repeated.
    fn exchange(&mut self, what: &'static str, request: &str) -> (Response, bool) {
        let (client, tally) = (&mut self.client, &mut self.tally);
        let mut attempts = 0;
        let response = wait_for("the store is available", || {
            attempts += 1;
            let response = tally.time(what, || client.exchange(request));
            Some(response).filter(|response| response.status != 503)
        });
        (response, attempts > 1)
    }

    fn new_name(&mut self) -> String {
        self.names += 1;
        format!("{}-{}", self.id, self.names)
    }
}

fn path(id: &str) -> String {
    format!("{KEYS}/{id}")
}

fn idempotency_key(unique: &str) -> String {
    format!("idempotency-key: {unique}\r\n")
}

fn text(value: &Value, member: &str) -> String {
    let text = value[member].as_str();
    text.unwrap_or_else(|| panic!("no {member}: {value}"))
        .to_owned()
}
