//! The operator, who creates and revokes keys beside the running server, in a process of their own
//! each time.

use std::{thread, time::Duration};

use serde_json::Value;

use crate::{
    client::Client,
    program::{Program, operate},
    store::Store,
    tally::Tally,
};

/// A key that may do everything in a new workspace, hashed with Argon2id as is the default.
pub(crate) fn create(store: &Store, workspace: &str) -> Value {
    let arguments = [
        "create",
        "--json",
        "--name",
        "caller",
        "--workspace",
        workspace,
    ];
    serde_json::from_str(&operate(store, &arguments)).unwrap()
}

/// Works until told to stop: what one process has created the other accepts, and what it has revoked
/// the other refuses once the bound is over.
pub(crate) fn work(store: &Store, program: &Program, goes_on: &(dyn Fn() -> bool + Sync)) -> Tally {
    let mut tally = Tally::default();
    while goes_on() {
        let created = create(store, "default");
        let [id, token] = ["id", "secret"].map(|member| created[member].as_str().unwrap());
        let mut client = Client::connect(program.address);
        let mut whoami = |what, status| {
            let answer = tally.time(what, || client.send("GET", "/v1/whoami", token, ""));
            answer.expect(status, what);
        };
        whoami("operator: whoami, never seen", 200);
        operate(store, &["revoke", id]);
        thread::sleep(store.bound);
        whoami("operator: whoami, revoked elsewhere", 401);
        drop(client);
        thread::sleep(Duration::from_millis(500));
    }
    tally
}
