//! Applies steps to the model.

use super::{
    outcome::{CallOutcome, Rejection},
    state::Model,
};
use crate::action::{Action, Step};

impl Model {
    /// Performs a step and records its expected outcome.
    pub fn apply(&mut self, step: &Step) {
        let outcome = self.perform(step.process, &step.action);
        self.expected = outcome.unwrap_or_else(CallOutcome::Rejected);
    }

    fn perform(&mut self, process: usize, action: &Action) -> Result<CallOutcome, Rejection> {
        match action {
            Action::Create {
                by,
                into,
                new,
                idempotency,
            } => match self.principal(*by) {
                Some(principal) => self.create(principal, *into, new, *idempotency),
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
                    self.rotate(principal, *key, *into, (*overlap, *lifetime), *idempotency)
                }
                None => Ok(CallOutcome::Nothing),
            },
            Action::Rename {
                by,
                key,
                name,
                metadata,
            } => match self.principal(*by) {
                Some(principal) => self.rename(principal, *key, *name, *metadata),
                None => Ok(CallOutcome::Nothing),
            },
            Action::Revoke { by, key, reach } => match self.principal(*by) {
                Some(principal) => self.revoke(principal, *key, *reach),
                None => Ok(CallOutcome::Nothing),
            },
            Action::Find { by, key } => match self.principal(*by) {
                Some(principal) => self.find(principal, *key),
                None => Ok(CallOutcome::Nothing),
            },
            Action::List {
                by, status, search, ..
            } => match self.principal(*by) {
                Some(principal) => self.list(principal, *status, *search),
                None => Ok(CallOutcome::Nothing),
            },
            Action::Verify(token) => {
                let verdict = self.verify(process, *token);
                Ok(CallOutcome::Verified(verdict))
            }
            Action::Introspect { by, token } => match self.principal(*by) {
                Some(principal) => self.introspect(process, principal, *token),
                None => Ok(CallOutcome::Nothing),
            },
            Action::Purge { workspace, age } => Ok(self.purge(*workspace, *age)),
            Action::First => Ok(CallOutcome::NotFirst),
            Action::Flush => {
                self.last_used.flush(process);
                Ok(CallOutcome::Nothing)
            }
            Action::Reopen { all, .. } => {
                self.last_used.close(process);
                if *all {
                    self.last_used.close(1 - process);
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
