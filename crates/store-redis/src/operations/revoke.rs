//! Revoking a key, alone or with all its descendants.

use std::{collections::HashSet, sync::Arc};

use keywright_core::{
    Event, KeyId, Reach, Revocation, Timestamp, Workspace,
    store::{Lease, StoreErrorKind},
};
use redis::{Value, cmd};
use tokio::task::JoinSet;

use super::{
    confirmation::Confirmation, new_event::run_with_event, revocation_event::RevocationEvent,
    stored::parse_id,
};
use crate::{
    error::{Error, Result},
    record::{self, DecodeError},
    request::{Effect, Lane, Request},
    script::{self, Call, code},
    servers::{Response, Servers},
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

/// Revokes the keys that are not revoked yet, and appends the event if there are any.
///
/// A revoked key cannot get new descendants. So each key is revoked first, and its descendants are
/// read after that. Only the descendants wait for other cascades of the workspace.
#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of `KeyStore::revoke`"
)]
pub(crate) async fn revoke(
    servers: &Arc<Servers>,
    lease: &Arc<Lease>,
    limit: &WalkLimit,
    workspace: &Workspace,
    id: &KeyId,
    reach: Reach,
    now: Timestamp,
    event: Option<Event>,
) -> Result<Revocation> {
    let mut event = match event {
        Some(event) => Some(RevocationEvent::prepare(servers, lease, event, reach).await?),
        None => None,
    };
    let root = revoke_root(servers, lease, workspace, id, now, event.as_ref()).await?;
    let changed = root.code == code::DONE;
    if changed && let Some(event) = &mut event {
        event.set_stored();
    }
    let event = event.map(Arc::new);
    let result = match root.code {
        code::NOT_FOUND => Err(StoreErrorKind::NotFound.into()),
        code::DONE | code::ALREADY_REVOKED if reach == Reach::Key => {
            Ok((u64::from(changed), root.confirmation))
        }
        code::DONE | code::ALREADY_REVOKED => {
            revoke_descendants(
                servers,
                lease,
                limit,
                workspace,
                &root,
                id,
                now,
                event.as_ref(),
            )
            .await
        }
        _ => Err(DecodeError::Length.into()),
    };
    let mut confirmation = Confirmation::of_nothing();
    if let Some(event) = &event {
        let count = result.as_ref().ok().map(|(count, _)| *count);
        confirmation = event.finish(servers, lease, count).await?;
    }
    let (count, confirmed) = result?;
    confirmation
        .and(confirmed)
        .check(servers, Revocation::new(changed, count))
}

/// Revokes the key that the call names, and appends the event in the same step.
async fn revoke_root(
    servers: &Arc<Servers>,
    lease: &Lease,
    workspace: &Workspace,
    id: &KeyId,
    now: Timestamp,
    event: Option<&RevocationEvent>,
) -> Result<RevokeReply> {
    let call = Call {
        script: &script::REVOKE,
        keys: vec![servers.names().record(id)],
        arguments: vec![encode_time(now), workspace.as_str().into()],
    };
    let new = event.map(RevocationEvent::new_event);
    let result = run_with_event(servers, lease, call, new).await;
    // Invalidate copies even if the reply was lost: the key may be revoked.
    lease.changed(id);
    let (response, stored) = result?;
    let mut reply = RevokeReply::parse(response)?;
    reply.confirmation = reply.confirmation.and(stored);
    Ok(reply)
}

/// Revokes the descendants of a revoked key. Returns how many keys the call has revoked, including
/// the key itself.
#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of `KeyStore::revoke`"
)]
async fn revoke_descendants(
    servers: &Arc<Servers>,
    lease: &Arc<Lease>,
    limit: &WalkLimit,
    workspace: &Workspace,
    root: &RevokeReply,
    id: &KeyId,
    now: Timestamp,
    event: Option<&Arc<RevocationEvent>>,
) -> Result<(u64, Confirmation)> {
    let _permit = limit.acquire(Some(workspace)).await?;
    let (descendants, complete) = read_descendants(servers, *id, root).await;
    let cascade = Cascade {
        servers: Arc::clone(servers),
        lease: Arc::clone(lease),
        event: event.cloned(),
        now,
    };
    let (revoked, confirmed) = Arc::new(cascade).run(descendants).await?;
    complete?;
    let count = u64::from(root.code == code::DONE) + revoked;
    Ok((count, root.confirmation.and(confirmed)))
}

/// A revocation of descendants.
struct Cascade {
    servers: Arc<Servers>,
    lease: Arc<Lease>,
    event: Option<Arc<RevocationEvent>>,
    now: Timestamp,
}

impl Cascade {
    /// Revokes all descendants of a key. If some cannot be revoked, revokes all others before it
    /// returns an error.
    async fn run(self: Arc<Self>, descendants: Vec<Descendant>) -> Result<(u64, Confirmation)> {
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
                    let cascade = Arc::clone(&self);
                    running.spawn(async move { cascade.revoke_one(descendant).await });
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
        &self,
        (id, receiver): Descendant,
    ) -> (Result<RevokeReply>, Vec<Descendant>) {
        let reply = match self.run_script(&id, receiver).await {
            Ok(reply) if reply.code == code::NOT_FOUND => return (Ok(reply), Vec::new()),
            Ok(reply) => reply,
            Err(error) => return (Err(error), Vec::new()),
        };
        let (descendants, complete) = read_descendants(&self.servers, id, &reply).await;
        let result = match complete {
            Ok(()) if reply.code == code::CORRUPT => Err(DecodeError::Length.into()),
            Ok(()) => Ok(reply),
            Err(error) => Err(error),
        };
        (result, descendants)
    }

    /// Revokes a key. If the event is not stored yet, because the key that the call names was
    /// already revoked, stores it before it revokes a key.
    async fn run_script(&self, id: &KeyId, receiver: Option<KeyId>) -> Result<RevokeReply> {
        if let Some(event) = &self.event
            && !event.is_stored()
        {
            let reply = self.call(id, receiver, true).await?;
            if reply.code != code::ACTIVE {
                return Ok(reply);
            }
            event.store(&self.servers, &self.lease).await?;
        }
        self.call(id, receiver, false).await
    }

    /// Calls the script that revokes a key, or only checks whether it is active.
    async fn call(
        &self,
        id: &KeyId,
        receiver: Option<KeyId>,
        check_only: bool,
    ) -> Result<RevokeReply> {
        let call = Call {
            script: &script::CASCADE,
            keys: vec![self.servers.names().record(id)],
            arguments: vec![
                encode_time(self.now),
                receiver.map_or(Vec::new(), |receiver| receiver.as_bytes().into()),
                if check_only { b"1".into() } else { Vec::new() },
            ],
        };
        let request = Request::script(call, Effect::Once).in_lane(Lane::Walk);
        let result = self.servers.run(request).await;
        // Invalidate copies even if the reply was lost: the key may be revoked.
        self.lease.changed(id);
        RevokeReply::parse(result?)
    }
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

impl RevokeReply {
    fn parse(response: Response) -> Result<Self> {
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
        Ok(Self {
            code,
            successor,
            confirmation,
        })
    }
}

fn encode_time(now: Timestamp) -> Vec<u8> {
    record::encode_time(Some(now)).into()
}
