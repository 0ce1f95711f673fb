//! Recording when keys were last used.

use std::{collections::HashMap, sync::Arc};

use keywright_core::{KeyId, Timestamp};
use tokio::task::JoinSet;

use super::run_script::run_script;
use crate::{
    error::{Error, Result},
    request::Effect,
    script,
    servers::Servers,
};

/// The maximum number of times that are written concurrently.
const CONCURRENCY: usize = 256;

/// Moves the times of last use forward. If some cannot be written, writes all others before it
/// returns an error.
pub(crate) async fn touch(servers: &Arc<Servers>, uses: &[(KeyId, Timestamp)]) -> Result<()> {
    let mut latest: HashMap<KeyId, Timestamp> = HashMap::new();
    for (id, time) in uses {
        let last = latest.entry(*id).or_insert(*time);
        *last = (*last).max(*time);
    }
    let mut latest = latest.into_iter();
    let mut running = JoinSet::new();
    let mut failure = None;
    loop {
        while running.len() < CONCURRENCY
            && let Some((id, time)) = latest.next()
        {
            let servers = Arc::clone(servers);
            running.spawn(async move { touch_one(&servers, &id, time).await });
        }
        match running.join_next().await {
            None => break,
            Some(Ok(Ok(()))) => {}
            Some(Ok(Err(error))) => failure = Some(error),
            Some(Err(_)) => failure = Some(Error::Stopped),
        }
    }
    failure.map_or(Ok(()), Err)
}

async fn touch_one(servers: &Arc<Servers>, id: &KeyId, time: Timestamp) -> Result<()> {
    let names = servers.names();
    let keys = vec![names.record(id), names.last_use(id)];
    let arguments = vec![time.as_millis().to_string().into()];
    let effect = Effect::IdempotentUnconfirmed;
    run_script(servers, &script::TOUCH, keys, arguments, effect).await?;
    Ok(())
}
