//! Applies steps to the model.

use super::{
    outcome::{CallOutcome, Rejection},
    state::Model,
};
use crate::{
    action::{Action, Step},
    vocabulary::PROCESSES,
};

impl Model {
    /// Performs a step and records its expected outcome.
    pub fn apply(&mut self, step: &Step) {
        self.calls += 1;
        let outcome = self.perform(step.process, &step.action);
        self.expected = outcome.unwrap_or_else(CallOutcome::Rejected);
        if let CallOutcome::Issued(number) | CallOutcome::Key(number) = self.expected {
            self.read.insert(number, self.keys[&number].changes);
        }
    }

    fn perform(&mut self, process: usize, action: &Action) -> Result<CallOutcome, Rejection> {
        match action {
            Action::Create {
                by,
                into,
                new,
                idempotency,
            } => match self.principal(*by) {
                Some(principal) => self.create(process, principal, *into, new, *idempotency),
                None => Ok(CallOutcome::Nothing),
            },
            Action::Rotate {
                by,
                key,
                into,
                overlap,
                lifetime,
                idempotency,
            } => match self.principal(*by) {
                Some(principal) => {
                    let times = (*overlap, *lifetime);
                    self.rotate(process, principal, *key, *into, times, *idempotency)
                }
                None => Ok(CallOutcome::Nothing),
            },
            Action::Update { by, key, update } => match self.principal(*by) {
                Some(principal) => self.update(process, principal, *key, update),
                None => Ok(CallOutcome::Nothing),
            },
            Action::SetAttributes {
                by,
                key,
                attributes,
            } => self.set_attributes(*by, *key, *attributes),
            Action::Revoke { by, key, reach } => match self.principal(*by) {
                Some(principal) => self.revoke(principal, *key, *reach),
                None => Ok(CallOutcome::Nothing),
            },
            Action::RevokeAll { by, owner } => match self.principal(*by) {
                Some(principal) => self.revoke_all(principal, *owner),
                None => Ok(CallOutcome::Nothing),
            },
            Action::Find { by, key } => match self.principal(*by) {
                Some(principal) => self.find(principal, *key),
                None => Ok(CallOutcome::Nothing),
            },
            Action::List {
                by,
                owner,
                status,
                search,
                ..
            } => match self.principal(*by) {
                Some(principal) => self.list(principal, *owner, *status, *search),
                None => Ok(CallOutcome::Nothing),
            },
            Action::Verify { token, from } => {
                let verdict = self.verify(process, *token, *from);
                self.see(verdict);
                Ok(CallOutcome::Verified(verdict))
            }
            Action::Introspect {
                by,
                token,
                from,
                permission,
            } => match self.principal(*by) {
                Some(principal) => self.introspect(process, principal, *token, *from, *permission),
                None => Ok(CallOutcome::Nothing),
            },
            Action::Purge {
                workspace,
                revoked,
                expired,
            } => Ok(self.purge(*workspace, *revoked, *expired)),
            Action::Events {
                by,
                key,
                owner,
                order,
                ..
            } => self.list_events(*by, *key, *owner, *order),
            Action::PurgeEvents { workspace, age } => Ok(self.purge_events(*workspace, *age)),
            Action::First => Ok(CallOutcome::NotFirst),
            Action::Flush => {
                self.last_used.flush(process);
                Ok(CallOutcome::Nothing)
            }
            Action::Reopen { all, limited, .. } => {
                for reopened in 0..PROCESSES {
                    if *all || reopened == process {
                        self.last_used.close(reopened);
                        self.limited[reopened] = *limited;
                    }
                }
                Ok(CallOutcome::Nothing)
            }
            Action::Wait(millis) => {
                self.now += millis;
                Ok(CallOutcome::Nothing)
            }
        }
    }
}
