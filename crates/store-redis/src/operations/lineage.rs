//! Deleting a record after all that descends from it.
//!
//! A child may be on another server than its parent, so that both cannot change together. The order
//! keeps what a cascade needs, whenever a program ends in between:
//!
//! 1. What has descended from a key is looked for once the key is revoked: it leads to nothing new then.
//! 2. Whom it has noted and who has no record may be on the way: a mark in its place refuses it.
//! 3. The record goes, in one script that sees for itself that it was revoked, that its successor is
//!    no more, and that it has noted nobody but those. A note of somebody who is there keeps it.
//! 4. Only then does its parent's note of it go. If it does not come to that, the parent has a note of
//!    somebody who is no more, which a later purge of the parent takes for one of step 2.
//! 5. Its entries in lists go. Those that are left are passed over, and taken away later.

use std::{collections::HashSet, sync::Arc};

use keywright_core::KeyId;
use redis::{Value, cmd};

use super::{Confirmation, purge::Shared, read_id};
use crate::{
    error::{Error, Result},
    record::{self, Head},
    request::{Effect, Request},
    script::{self, Call, answer},
    servers::{Answer, Servers},
};

/// A walk through what descends from one key.
pub(super) struct Lineage<'a> {
    servers: &'a Arc<Servers>,
    shared: &'a Shared,
    /// From the key to what is looked at, each descending from the one before.
    way: Vec<Step>,
    met: HashSet<KeyId>,
    confirmation: Confirmation,
}

/// A key that may go once all that descends from it is gone.
struct Step {
    id: KeyId,
    successor: Option<KeyId>,
    /// What was not looked at yet: a child with its parent, or a successor.
    waiting: Vec<(KeyId, Option<KeyId>)>,
    /// Whom it has noted as children.
    noted: Vec<KeyId>,
}

/// What was found of a key.
enum Found {
    Nothing,
    Staying,
    Going(Step),
}

impl<'a> Lineage<'a> {
    pub(super) fn new(servers: &'a Arc<Servers>, shared: &'a Shared) -> Self {
        Self {
            servers,
            shared,
            way: Vec::new(),
            met: HashSet::new(),
            confirmation: Confirmation(true),
        }
    }

    /// Whether replicas have what was changed.
    pub(super) const fn confirmation(&self) -> Confirmation {
        self.confirmation
    }

    /// Deletes from the lowest up, until one is met that stays, and with it all above it.
    pub(super) async fn delete(&mut self, root: KeyId) -> Result<()> {
        let mut next = Some((root, None));
        loop {
            if let Some((id, parent)) = next.take() {
                match self.look(id, parent).await? {
                    Found::Nothing => {}
                    Found::Going(step) => self.way.push(step),
                    Found::Staying => {
                        self.shared.stay(self.way.iter().map(|step| step.id));
                        return Ok(());
                    }
                }
            }
            let Some(mut step) = self.way.pop() else {
                return Ok(());
            };
            next = step.waiting.pop();
            if next.is_some() {
                self.way.push(step);
            } else if !self.delete_one(&step).await? {
                return Ok(());
            }
        }
    }

    /// Looks at a key, and who was noted by it.
    async fn look(&mut self, id: KeyId, parent: Option<KeyId>) -> Result<Found> {
        // Ids that lead back to themselves are damaged, and stay.
        if self.shared.stays(&id) || !self.met.insert(id) {
            return Ok(Found::Staying);
        }
        let names = self.servers.names();
        let call = Call {
            script: &script::LOOK,
            keys: vec![names.record(&id), names.children(&id)],
            arguments: vec![parent.map_or(Vec::new(), |parent| parent.as_bytes().into())],
        };
        let effect = match parent {
            Some(_) => Effect::Repeatable,
            None => Effect::Reads,
        };
        let answer = self.servers.run(Request::script(call, effect)).await?;
        if parent.is_some() {
            self.confirm(&answer);
        }
        let Value::Array(parts) = answer.value else {
            return Err(Error::Unexpected("answer of the script"));
        };
        let Some((record, children)) = parts.split_first() else {
            return Ok(Found::Nothing);
        };
        let noted: Option<Vec<KeyId>> = children.iter().map(read_id).collect();
        let head = match record {
            Value::BulkString(bytes) => record::head(bytes).ok(),
            _ => None,
        };
        // What cannot be read may descend from it.
        Ok(match (head, noted) {
            (Some(head), Some(noted)) if self.shared.covers(&head) => {
                let children = noted.iter().map(|child| (*child, Some(id)));
                let successor = head.successor.map(|successor| (successor, None));
                Found::Going(Step {
                    id,
                    successor: head.successor,
                    waiting: children.chain(successor).collect(),
                    noted,
                })
            }
            _ => Found::Staying,
        })
    }

    /// Deletes a key from which nothing descends any more, steps 3 to 5, and tells whether it is gone.
    async fn delete_one(&mut self, step: &Step) -> Result<bool> {
        let Some(permit) = self.shared.permit().await else {
            return Ok(false);
        };
        let names = self.servers.names();
        let id = &step.id;
        let mut keys = vec![names.record(id), names.children(id), names.last_use(id)];
        keys.extend(step.successor.map(|successor| names.record(&successor)));
        let purge = &self.shared.purge;
        let workspace = purge.workspace.as_ref();
        let mut arguments = vec![
            purge.revoked_before.as_millis().to_string().into_bytes(),
            workspace.map_or(Vec::new(), |workspace| workspace.as_str().into()),
            record::successor(step.successor).into(),
        ];
        arguments.extend(step.noted.iter().map(|child| child.as_bytes().into()));
        let call = Call {
            script: &script::PURGE,
            keys,
            arguments,
        };
        let outcome = self.servers.run(Request::script(call, Effect::Once)).await;
        // Also where it is not known whether it was done.
        self.servers.hearing().lease().changed(id);
        let answer = outcome?;
        self.confirm(&answer);
        let Value::Array(parts) = answer.value else {
            return Err(Error::Unexpected("answer of the script"));
        };
        match &*parts {
            [Value::Int(answer::DONE), Value::BulkString(record)] => {
                self.shared.spend(permit);
                self.forget(id, &record::head(record)?).await?;
                Ok(true)
            }
            // Another purge was faster.
            [Value::Int(answer::NOT_FOUND)] => Ok(true),
            _ => Ok(false),
        }
    }

    /// Takes away what tells of a key that is no more.
    async fn forget(&mut self, id: &KeyId, head: &Head) -> Result<()> {
        let names = self.servers.names();
        let parent = head.parent.map(|parent| ("SREM", names.children(&parent)));
        let list = Some(("ZREM", names.index(&head.workspace)));
        let test_list = Some(("ZREM", names.test_index(&head.workspace)));
        for (command, name) in [parent, list, test_list].into_iter().flatten() {
            let mut remove = cmd(command);
            remove.arg(&name).arg(id.as_bytes());
            let request = Request::new(&name, Effect::Repeatable, remove);
            let answer = self.servers.run(request).await?;
            self.confirm(&answer);
        }
        Ok(())
    }

    fn confirm(&mut self, answer: &Answer) {
        self.confirmation = self.confirmation.and(Confirmation::of(answer));
    }
}
