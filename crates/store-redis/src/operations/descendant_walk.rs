//! Deleting a record after all its descendants.
//!
//! A key has up to two receivers: its parent, and the key that rotated its predecessor. They may be
//! on other servers, so they cannot change in one step with the key. Each receiver has registered
//! the key. The order of the steps ensures that a cascading revocation works even if a purge is
//! interrupted between any two of them:
//!
//! 1. Read the descendants of a key only if it has ended: it is revoked or has expired. It then
//!    gets no new ones, unless an update lets it expire later.
//! 2. If a registered key has no record, its insert may be in progress. Store a tombstone in its
//!    place, so that the insert fails.
//! 3. Delete the record with a script. The script checks again that the key has ended in time, that
//!    its successor has no record, and that the walk has visited all keys that it has registered.
//! 4. Remove the key from the keys that its receivers have registered. If this step is missing, a
//!    later purge of a receiver finds a registered key without a record, and continues with step 2.
//! 5. Remove the key from the indexes. If this step is missing, lists skip the entry and remove it
//!    later.

use std::{collections::HashSet, sync::Arc};

use keywright_core::{KeyId, Timestamp, store::Lease};
use redis::{Value, cmd};

use super::{
    alias::free_alias, confirmation::Confirmation, index::Entries, purge_progress::PurgeProgress,
    stored::parse_id,
};
use crate::{
    error::{Error, Result},
    record::{self, Header, Stored},
    request::{Effect, Lane, Request},
    script::{self, Call, code},
    servers::{Response, Servers},
};

/// A depth-first walk through the descendants of a key.
pub(super) struct DescendantWalk<'a> {
    servers: &'a Arc<Servers>,
    lease: &'a Lease,
    progress: &'a PurgeProgress,
    /// The keys from the root to the current key. Each descends from the key before it.
    path: Vec<Ancestor>,
    /// The ids of the keys on the path.
    on_path: HashSet<KeyId>,
    /// The keys that this walk has deleted. A walk can reach a key twice: as a successor, and as a
    /// received key.
    deleted: HashSet<KeyId>,
    confirmation: Confirmation,
}

/// A key whose record is deleted once all its descendants are deleted.
struct Ancestor {
    id: KeyId,
    successor: Option<KeyId>,
    /// The descendants that are not visited yet: each received key with its receiver, and the
    /// successor with `None`.
    unvisited: Vec<(KeyId, Option<KeyId>)>,
    /// The keys that this key has registered as received.
    received: Vec<KeyId>,
}

/// The result of reading a key.
enum Visit {
    NoRecord,
    Keep,
    Delete(Ancestor),
}

impl<'a> DescendantWalk<'a> {
    pub(super) fn new(
        servers: &'a Arc<Servers>,
        lease: &'a Lease,
        progress: &'a PurgeProgress,
    ) -> Self {
        Self {
            servers,
            lease,
            progress,
            path: Vec::new(),
            on_path: HashSet::new(),
            deleted: HashSet::new(),
            confirmation: Confirmation::of_nothing(),
        }
    }

    /// The confirmation of all changes so far.
    pub(super) const fn confirmation(&self) -> Confirmation {
        self.confirmation
    }

    /// Deletes the descendants of a key, leaves first, and then the key. Stops at the first key
    /// that must be kept, since its ancestors must also be kept.
    pub(super) async fn delete(&mut self, root: KeyId) -> Result<()> {
        let mut next = Some((root, None));
        loop {
            if let Some((id, receiver)) = next.take() {
                match self.visit(id, receiver).await? {
                    Visit::NoRecord => {}
                    Visit::Delete(ancestor) => {
                        self.on_path.insert(id);
                        self.path.push(ancestor);
                    }
                    Visit::Keep => {
                        self.progress.keep(self.path.iter().map(|key| key.id));
                        return Ok(());
                    }
                }
            }
            let Some(mut current) = self.path.pop() else {
                return Ok(());
            };
            next = current.unvisited.pop();
            if next.is_some() {
                self.path.push(current);
            } else if self.delete_one(&current).await? {
                self.on_path.remove(&current.id);
                self.deleted.insert(current.id);
            } else {
                return Ok(());
            }
        }
    }

    /// Reads a key and the keys that it received: steps 1 and 2.
    async fn visit(&mut self, id: KeyId, receiver: Option<KeyId>) -> Result<Visit> {
        // A key that descends from itself is damaged.
        if self.progress.is_kept(&id) || self.on_path.contains(&id) {
            return Ok(Visit::Keep);
        }
        if self.deleted.contains(&id) {
            return Ok(Visit::NoRecord);
        }
        let names = self.servers.names();
        let call = Call {
            script: &script::READ_LINEAGE,
            keys: vec![names.record(&id), names.received(&id)],
            arguments: vec![receiver.map_or(Vec::new(), |receiver| receiver.as_bytes().into())],
        };
        let effect = match receiver {
            Some(_) => Effect::Idempotent,
            None => Effect::Read,
        };
        let response = self
            .servers
            .run(Request::script(call, effect).in_lane(Lane::Walk))
            .await?;
        if receiver.is_some() {
            self.confirm(&response);
        }
        let Value::Array(parts) = response.value else {
            return Err(Error::Malformed("script reply"));
        };
        let Some((record, received)) = parts.split_first() else {
            return Ok(Visit::NoRecord);
        };
        let received: Option<Vec<KeyId>> = received.iter().map(parse_id).collect();
        let header = match record {
            Value::BulkString(bytes) => record::decode_header(bytes).ok(),
            _ => None,
        };
        // Keep a key whose record or received keys are damaged: it may have descendants.
        Ok(match (header, received) {
            (Some(header), Some(received)) if self.progress.includes(&header) => {
                let with_receiver = received.iter().map(|key| (*key, Some(id)));
                let successor = header.successor.map(|successor| (successor, None));
                Visit::Delete(Ancestor {
                    id,
                    successor: header.successor,
                    unvisited: with_receiver.chain(successor).collect(),
                    received,
                })
            }
            _ => Visit::Keep,
        })
    }

    /// Deletes a key that no longer has descendants: steps 3 to 5. Returns whether its record is
    /// gone.
    async fn delete_one(&mut self, key: &Ancestor) -> Result<bool> {
        let Some(permit) = self.progress.acquire().await else {
            return Ok(false);
        };
        let names = self.servers.names();
        let id = &key.id;
        let mut keys = vec![names.record(id), names.received(id), names.last_use(id)];
        keys.extend(key.successor.map(|successor| names.record(&successor)));
        let purge = &self.progress.purge;
        let workspace = purge.workspace.as_ref();
        // No key has ended before 1970.
        let millis = |bound: Option<Timestamp>| bound.map_or(0, Timestamp::as_millis).to_string();
        let mut arguments = vec![
            millis(purge.revoked_before).into_bytes(),
            millis(purge.expired_before).into_bytes(),
            workspace.map_or(Vec::new(), |workspace| workspace.as_str().into()),
            record::encode_id(key.successor).into(),
        ];
        arguments.extend(key.received.iter().map(|key| key.as_bytes().into()));
        let call = Call {
            script: &script::PURGE,
            keys,
            arguments,
        };
        let request = Request::script(call, Effect::Once).in_lane(Lane::Walk);
        let result = self.servers.run(request).await;
        // Invalidate copies even if the reply was lost: the record may be deleted.
        self.lease.changed(id);
        let response = result?;
        self.confirm(&response);
        let Value::Array(parts) = response.value else {
            return Err(Error::Malformed("script reply"));
        };
        match &*parts {
            [Value::Int(code::DONE), Value::BulkString(record)] => {
                self.progress.record_deleted(permit);
                self.remove_references(id, &record::decode_header(record)?)
                    .await?;
                // A damaged record leaves its alias, which another key can take over.
                if let Ok(Stored::Record(record)) = record::decode(*id, record)
                    && let Some(alias) = &record.alias
                {
                    let freed = free_alias(self.servers, alias, id).await?;
                    self.confirmation = self.confirmation.and(freed);
                }
                Ok(true)
            }
            // Another purge has deleted it.
            [Value::Int(code::NOT_FOUND)] => Ok(true),
            _ => Ok(false),
        }
    }

    /// Removes a deleted key from the keys that its receivers have registered, and from the
    /// indexes.
    async fn remove_references(&mut self, id: &KeyId, header: &Header) -> Result<()> {
        let names = self.servers.names();
        let receivers = [header.parent, header.rotated_by];
        for receiver in receivers.iter().flatten() {
            let name = names.received(receiver);
            let mut remove = cmd("SREM");
            remove.arg(&name).arg(id.as_bytes());
            let request = Request::new(&name, Effect::Idempotent, remove).in_lane(Lane::Walk);
            let response = self.servers.run(request).await?;
            self.confirm(&response);
        }
        let removed = Entries::of_header(self.servers, id, header)
            .remove(self.servers)
            .await?;
        self.confirmation = self.confirmation.and(removed);
        Ok(())
    }

    fn confirm(&mut self, response: &Response) {
        self.confirmation = self.confirmation.and(Confirmation::of(response));
    }
}
