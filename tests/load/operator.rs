//! The operator, who creates and revokes keys with the command line while the server runs.

use std::{thread, time::Duration};

use serde_json::Value;

use crate::{
    client::Client,
    program::{Program, keys},
    store::Store,
    tally::Tally,
    wait::until_available,
};

/// Creates a key with all permissions in a new workspace, hashed with Argon2id, the default.
pub(crate) fn create(store: &Store, workspace: &str) -> Value {
    let arguments = [
        "create",
        "--json",
        "--name",
        "caller",
        "--workspace",
        workspace,
    ];
    serde_json::from_str(&keys(store, &arguments)).unwrap()
}

/// Works while `running` returns `true`. The server must accept a key that the command line has
/// created, and reject a key that it has revoked, once the staleness bound has passed.
pub(crate) fn work(store: &Store, program: &Program, running: &(dyn Fn() -> bool + Sync)) -> Tally {
    let mut tally = Tally::default();
    while running() {
        let created = create(store, "default");
        let [id, token] = ["id", "secret"].map(|member| created[member].as_str().unwrap());
        let mut whoami = |what, status| {
            let mut client = Client::connect(program.address);
            let response = until_available(|| {
                tally.time(what, || client.send("GET", "/v1/whoami", token, ""))
            });
            response.expect(status, what);
        };
        whoami("operator: whoami, created by the command line", 200);
        keys(store, &["revoke", id]);
        thread::sleep(store.staleness_bound);
        whoami("operator: whoami, revoked by the command line", 401);
        thread::sleep(Duration::from_millis(500));
    }
    tally
}
