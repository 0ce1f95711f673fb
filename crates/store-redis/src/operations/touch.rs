//! Noting when keys were last used.

use std::{collections::HashMap, sync::Arc};

use keywright_core::{KeyId, Timestamp};
use tokio::task::JoinSet;

use super::call;
use crate::{
    error::{Error, Result},
    request::Effect,
    script,
    servers::Servers,
};

/// Most that are noted at the same time.
const AT_ONCE: usize = 256;

/// Moves the times forward. What fails is told once all else is noted.
pub(crate) async fn touch(servers: &Arc<Servers>, uses: &[(KeyId, Timestamp)]) -> Result<()> {
    let mut latest: HashMap<KeyId, Timestamp> = HashMap::new();
    for (id, time) in uses {
        let noted = latest.entry(*id).or_insert(*time);
        *noted = (*noted).max(*time);
    }
    let mut latest = latest.into_iter();
    let mut running = JoinSet::new();
    let mut failure = None;
    loop {
        while running.len() < AT_ONCE
            && let Some((id, time)) = latest.next()
        {
            let servers = Arc::clone(servers);
            running.spawn(async move { touch_one(&servers, &id, time).await });
        }
        match running.join_next().await {
            None => break,
            Some(Ok(Ok(()))) => {}
            Some(Ok(Err(error))) => failure = Some(error),
            Some(Err(_)) => failure = Some(Error::Ended),
        }
    }
    failure.map_or(Ok(()), Err)
}

async fn touch_one(servers: &Arc<Servers>, id: &KeyId, time: Timestamp) -> Result<()> {
    let names = servers.names();
    let keys = vec![names.record(id), names.last_use(id)];
    let time = time.as_millis().to_string().into();
    call(
        servers,
        &script::TOUCH,
        keys,
        vec![time],
        Effect::Unconfirmed,
    )
    .await?;
    Ok(())
}
