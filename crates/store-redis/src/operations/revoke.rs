//! Revoking a key, alone or with all that descends from it.

use std::{collections::HashSet, sync::Arc};

use keywright_core::{KeyId, Reach, Revocation, StoreErrorKind, Timestamp, Workspace};
use redis::{Value, cmd};
use tokio::task::JoinSet;

use super::{Confirmation, read_id};
use crate::{
    error::{Error, Result},
    record::Unreadable,
    request::{Effect, Request},
    script::{self, Call, Script, answer},
    servers::Servers,
};

/// Most descendants that are revoked at the same time.
const AT_ONCE: usize = 64;

/// What became of one key.
struct Revoked {
    code: i64,
    successor: Option<KeyId>,
    confirmation: Confirmation,
}

/// A key that another one has led to: a child with the parent that has noted it, or a successor.
type Descendant = (KeyId, Option<KeyId>);

/// Revokes what is not revoked yet. Once a key is revoked it leads to nothing new, so that what is
/// found below it then is all that there is.
pub(crate) async fn revoke(
    servers: &Arc<Servers>,
    workspace: &Workspace,
    id: &KeyId,
    reach: Reach,
    now: Timestamp,
) -> Result<Revocation> {
    let arguments = vec![time(now), workspace.as_str().into()];
    let root = change(servers, &script::REVOKE, id, arguments).await?;
    let first = match root.code {
        answer::DONE => true,
        answer::ALREADY => false,
        answer::NOT_FOUND => return Err(StoreErrorKind::NotFound.into()),
        _ => return Err(Unreadable::Length.into()),
    };
    let mut confirmation = root.confirmation;
    let mut count = u64::from(first);
    if reach == Reach::Descendants {
        let (family, whole) = led_to(servers, *id, &root).await;
        let (more, confirmed) = cascade(servers, *id, family, now).await?;
        whole?;
        count += more;
        confirmation = confirmation.and(confirmed);
    }
    confirmation.check(servers, Revocation::new(first, count))
}

/// Revokes all that a key has led to. What cannot be revoked is told once all else is.
async fn cascade(
    servers: &Arc<Servers>,
    root: KeyId,
    family: Vec<Descendant>,
    now: Timestamp,
) -> Result<(u64, Confirmation)> {
    let mut seen = HashSet::from([root]);
    let mut waiting = family;
    let mut running = JoinSet::new();
    let mut count = 0;
    let mut confirmation = Confirmation(true);
    let mut failure = None;
    loop {
        while running.len() < AT_ONCE
            && let Some(descendant) = waiting.pop()
        {
            if seen.insert(descendant.0) {
                let servers = Arc::clone(servers);
                running.spawn(async move { revoke_one(&servers, descendant, now).await });
            }
        }
        match running.join_next().await {
            None => break,
            Some(Ok((outcome, family))) => {
                match outcome {
                    Ok(revoked) => {
                        count += u64::from(revoked.code == answer::DONE);
                        confirmation = confirmation.and(revoked.confirmation);
                    }
                    Err(error) => failure = Some(error),
                }
                waiting.extend(family);
            }
            Some(Err(_)) => failure = Some(Error::Ended),
        }
    }
    match failure {
        Some(error) => Err(error),
        None => Ok((count, confirmation)),
    }
}

/// Revokes a descendant, and tells what it has led to in turn, also where it cannot be read.
async fn revoke_one(
    servers: &Arc<Servers>,
    (id, parent): Descendant,
    now: Timestamp,
) -> (Result<Revoked>, Vec<Descendant>) {
    let parent = parent.map_or(Vec::new(), |parent| parent.as_bytes().into());
    let revoked = match change(servers, &script::CASCADE, &id, vec![time(now), parent]).await {
        Ok(revoked) if revoked.code == answer::NOT_FOUND => return (Ok(revoked), Vec::new()),
        Ok(revoked) => revoked,
        Err(error) => return (Err(error), Vec::new()),
    };
    let (family, whole) = led_to(servers, id, &revoked).await;
    let outcome = match whole {
        Ok(()) if revoked.code == answer::UNREADABLE => Err(Unreadable::Length.into()),
        Ok(()) => Ok(revoked),
        Err(error) => Err(error),
    };
    (outcome, family)
}

/// What a key has led to that is revoked, as far as it can be read, and whether that is all.
async fn led_to(
    servers: &Arc<Servers>,
    id: KeyId,
    revoked: &Revoked,
) -> (Vec<Descendant>, Result<()>) {
    let mut family: Vec<Descendant> = revoked
        .successor
        .map(|heir| (heir, None))
        .into_iter()
        .collect();
    let whole = match noted(servers, &id).await {
        Ok(noted) => {
            let children = noted.iter().filter_map(read_id);
            family.extend(children.map(|child| (child, Some(id))));
            if noted.iter().all(|child| read_id(child).is_some()) {
                Ok(())
            } else {
                Err(Error::Unexpected("list of children"))
            }
        }
        Err(error) => Err(error),
    };
    (family, whole)
}

async fn noted(servers: &Arc<Servers>, id: &KeyId) -> Result<Vec<Value>> {
    let name = servers.names().children(id);
    let mut members = cmd("SMEMBERS");
    members.arg(&name);
    let request = Request::new(&name, Effect::Reads, members);
    match servers.run(request).await?.value {
        Value::Set(noted) | Value::Array(noted) => Ok(noted),
        _ => Err(Error::Unexpected("answer to SMEMBERS")),
    }
}

async fn change(
    servers: &Arc<Servers>,
    script: &'static Script,
    id: &KeyId,
    arguments: Vec<Vec<u8>>,
) -> Result<Revoked> {
    let call = Call {
        script,
        keys: vec![servers.names().record(id)],
        arguments,
    };
    let outcome = servers.run(Request::script(call, Effect::Once)).await;
    // Also where it is not known whether it was done.
    servers.hearing().lease().changed(id);
    let answer = outcome?;
    let confirmation = Confirmation::of(&answer);
    let Value::Array(parts) = answer.value else {
        return Err(Error::Unexpected("answer of the script"));
    };
    let (code, successor) = match &*parts {
        [Value::Int(code)] => (*code, None),
        // No successor is sixteen zeros, which are no id.
        [Value::Int(code), Value::BulkString(id)] => (*code, KeyId::from_bytes(id).ok()),
        _ => return Err(Error::Unexpected("answer of the script")),
    };
    Ok(Revoked {
        code,
        successor,
        confirmation,
    })
}

fn time(now: Timestamp) -> Vec<u8> {
    now.as_millis().unsigned_abs().to_be_bytes().into()
}
