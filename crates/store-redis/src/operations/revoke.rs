//! Revoking a key, alone or with all its descendants.

use std::{collections::HashSet, sync::Arc};

use keywright_core::{
    KeyId, Reach, Revocation, Timestamp, Workspace,
    store::{Lease, StoreErrorKind},
};
use redis::{Value, cmd};
use tokio::task::JoinSet;

use super::{confirmation::Confirmation, stored::parse_id};
use crate::{
    error::{Error, Result},
    record::{self, DecodeError},
    request::{Effect, Lane, Request},
    script::{self, Call, Script, code},
    servers::Servers,
    walk_limit::WalkLimit,
};

/// The maximum number of descendants that are revoked concurrently.
const CONCURRENCY: usize = 64;

/// The reply of a script that revokes one key.
struct RevokeReply {
    code: i64,
    successor: Option<KeyId>,
    confirmation: Confirmation,
}

/// A descendant: a received key with its receiver, or a successor with `None`.
type Descendant = (KeyId, Option<KeyId>);

/// Revokes the keys that are not revoked yet.
///
/// A revoked key cannot get new descendants. So each key is revoked first, and its descendants are
/// read after that. Only the descendants wait for other cascades of the workspace.
pub(crate) async fn revoke(
    servers: &Arc<Servers>,
    lease: &Arc<Lease>,
    limit: &WalkLimit,
    workspace: &Workspace,
    id: &KeyId,
    reach: Reach,
    now: Timestamp,
) -> Result<Revocation> {
    let arguments = vec![encode_time(now), workspace.as_str().into()];
    let root = run_script(servers, lease, Lane::Single, &script::REVOKE, id, arguments).await?;
    let changed = match root.code {
        code::DONE => true,
        code::ALREADY_REVOKED => false,
        code::NOT_FOUND => return Err(StoreErrorKind::NotFound.into()),
        _ => return Err(DecodeError::Length.into()),
    };
    let mut confirmation = root.confirmation;
    let mut count = u64::from(changed);
    if reach == Reach::Descendants {
        let _permit = limit.acquire(Some(workspace)).await?;
        let (descendants, complete) = read_descendants(servers, *id, &root).await;
        let (revoked, confirmed) = cascade(servers, lease, descendants, now).await?;
        complete?;
        count += revoked;
        confirmation = confirmation.and(confirmed);
    }
    confirmation.check(servers, Revocation::new(changed, count))
}

/// Revokes all descendants of a key. If some cannot be revoked, revokes all others before it
/// returns an error.
async fn cascade(
    servers: &Arc<Servers>,
    lease: &Arc<Lease>,
    descendants: Vec<Descendant>,
    now: Timestamp,
) -> Result<(u64, Confirmation)> {
    // A key may be the successor of one descendant and a received key of another.
    let mut seen = HashSet::new();
    let mut waiting = descendants;
    let mut running = JoinSet::new();
    let mut count = 0;
    let mut confirmation = Confirmation::of_nothing();
    let mut failure = None;
    loop {
        while running.len() < CONCURRENCY
            && let Some(descendant) = waiting.pop()
        {
            if seen.insert(descendant) {
                let (servers, lease) = (Arc::clone(servers), Arc::clone(lease));
                running.spawn(async move { revoke_one(&servers, &lease, descendant, now).await });
            }
        }
        match running.join_next().await {
            None => break,
            Some(Ok((result, descendants))) => {
                match result {
                    Ok(revoked) => {
                        count += u64::from(revoked.code == code::DONE);
                        confirmation = confirmation.and(revoked.confirmation);
                    }
                    Err(error) => failure = Some(error),
                }
                waiting.extend(descendants);
            }
            Some(Err(_)) => failure = Some(Error::Stopped),
        }
    }
    match failure {
        Some(error) => Err(error),
        None => Ok((count, confirmation)),
    }
}

/// Revokes a descendant. Also returns its descendants, even if its record cannot be decoded.
async fn revoke_one(
    servers: &Arc<Servers>,
    lease: &Lease,
    (id, receiver): Descendant,
    now: Timestamp,
) -> (Result<RevokeReply>, Vec<Descendant>) {
    let receiver = receiver.map_or(Vec::new(), |receiver| receiver.as_bytes().into());
    let arguments = vec![encode_time(now), receiver];
    let reply = match run_script(servers, lease, Lane::Walk, &script::CASCADE, &id, arguments).await
    {
        Ok(reply) if reply.code == code::NOT_FOUND => return (Ok(reply), Vec::new()),
        Ok(reply) => reply,
        Err(error) => return (Err(error), Vec::new()),
    };
    let (descendants, complete) = read_descendants(servers, id, &reply).await;
    let result = match complete {
        Ok(()) if reply.code == code::CORRUPT => Err(DecodeError::Length.into()),
        Ok(()) => Ok(reply),
        Err(error) => Err(error),
    };
    (result, descendants)
}

/// Returns the direct descendants of a revoked key that can be read, and an error if some cannot be
/// read.
async fn read_descendants(
    servers: &Arc<Servers>,
    id: KeyId,
    reply: &RevokeReply,
) -> (Vec<Descendant>, Result<()>) {
    let successor = reply.successor.map(|successor| (successor, None));
    let mut descendants: Vec<Descendant> = successor.into_iter().collect();
    let complete = match read_received(servers, &id).await {
        Ok(received) => {
            let valid = received.iter().filter_map(parse_id);
            descendants.extend(valid.map(|key| (key, Some(id))));
            if received.iter().all(|key| parse_id(key).is_some()) {
                Ok(())
            } else {
                Err(Error::Malformed("set of received keys"))
            }
        }
        Err(error) => Err(error),
    };
    (descendants, complete)
}

async fn read_received(servers: &Arc<Servers>, id: &KeyId) -> Result<Vec<Value>> {
    let name = servers.names().received(id);
    let mut members = cmd("SMEMBERS");
    members.arg(&name);
    let request = Request::new(&name, Effect::Read, members).in_lane(Lane::Walk);
    match servers.run(request).await?.value {
        Value::Set(received) | Value::Array(received) => Ok(received),
        _ => Err(Error::Malformed("reply to SMEMBERS")),
    }
}

async fn run_script(
    servers: &Arc<Servers>,
    lease: &Lease,
    lane: Lane,
    script: &'static Script,
    id: &KeyId,
    arguments: Vec<Vec<u8>>,
) -> Result<RevokeReply> {
    let call = Call {
        script,
        keys: vec![servers.names().record(id)],
        arguments,
    };
    let request = Request::script(call, Effect::Once).in_lane(lane);
    let result = servers.run(request).await;
    // Invalidate copies even if the reply was lost: the key may be revoked.
    lease.changed(id);
    let response = result?;
    let confirmation = Confirmation::of(&response);
    let Value::Array(parts) = response.value else {
        return Err(Error::Malformed("script reply"));
    };
    let (code, successor) = match &*parts {
        [Value::Int(code)] => (*code, None),
        // An absent successor is 16 zeros, which are not an id.
        [Value::Int(code), Value::BulkString(id)] => (*code, KeyId::from_bytes(id).ok()),
        _ => return Err(Error::Malformed("script reply")),
    };
    Ok(RevokeReply {
        code,
        successor,
        confirmation,
    })
}

fn encode_time(now: Timestamp) -> Vec<u8> {
    record::encode_time(Some(now)).into()
}
