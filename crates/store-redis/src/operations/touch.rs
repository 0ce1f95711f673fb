//! Recording when keys were last used.

use std::{collections::HashMap, sync::Arc, time::Instant};

use keywright_core::{KeyId, Timestamp};
use tokio::task::JoinSet;

use crate::{
    error::{Error, Result},
    request::{Effect, Request},
    script::{self, Call},
    servers::Servers,
};

/// The maximum number of times that are written concurrently.
const CONCURRENCY: usize = 256;

/// Moves the times of last use forward. All writes share the deadline of one call.
///
/// A damaged key fails the call after all other keys are written. The call ends at the first use
/// that cannot be written for another reason, so that a caller with a deadline does not wait for
/// each use.
pub(crate) async fn touch(servers: &Arc<Servers>, uses: &[(KeyId, Timestamp)]) -> Result<()> {
    let deadline = servers.deadline();
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
            running.spawn(async move { touch_one(&servers, deadline, &id, time).await });
        }
        match running.join_next().await {
            None => break,
            Some(Ok(Ok(()))) => {}
            Some(Ok(Err(error))) if error.is_corrupt() => failure = Some(error),
            Some(Ok(Err(error))) => return Err(error),
            Some(Err(_)) => return Err(Error::Stopped),
        }
    }
    failure.map_or(Ok(()), Err)
}

async fn touch_one(
    servers: &Arc<Servers>,
    deadline: Instant,
    id: &KeyId,
    time: Timestamp,
) -> Result<()> {
    let names = servers.names();
    let call = Call {
        script: &script::TOUCH,
        keys: vec![names.record(id), names.last_use(id)],
        arguments: vec![time.as_millis().to_string().into()],
    };
    let request = Request::script(call, Effect::IdempotentUnconfirmed);
    servers.run_until(deadline, request).await?;
    Ok(())
}
