//! Checks that the servers can be reached.

use std::sync::Arc;

use redis::cmd;
use tokio::task::JoinSet;

use crate::{
    error::{Error, Result},
    request::{Effect, Request},
    servers::Servers,
};

/// Sends one command to each primary.
///
/// The command reads the name of the heartbeats, in a slot of the server. `GETEX` changes nothing
/// here, but Redis treats it as a write, so a server that cannot accept writes rejects it.
pub(crate) async fn ping(servers: &Arc<Servers>) -> Result<()> {
    let mut pings = JoinSet::new();
    for node in servers.primaries() {
        let servers = Arc::clone(servers);
        let name = node.endpoint.heartbeat();
        // This server has no slot yet, so it has no heartbeat name. The others show whether the
        // store can be reached.
        if name.is_empty() {
            continue;
        }
        let mut get = cmd("GETEX");
        get.arg(&name);
        let request = Request::new(&name, Effect::Read, get);
        pings.spawn(async move { servers.run(request).await.map(drop) });
    }
    while let Some(result) = pings.join_next().await {
        result.map_err(|_| Error::Stopped)??;
    }
    Ok(())
}
