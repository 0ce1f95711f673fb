//! Performs steps on the system under test.

use super::{backend::Backend, state::System};
use crate::{
    action::{Action, Step},
    model::Model,
};

impl<B: Backend> System<B> {
    /// Performs a step and compares its outcome with the model's, which has already performed it.
    ///
    /// # Panics
    ///
    /// If the outcomes differ.
    pub fn step(&mut self, step: &Step, model: &Model) {
        self.catch_up(step.process);
        match &step.action {
            Action::Reopen {
                all,
                argon2,
                limited,
            } => {
                // Stop all of them first, so that each new process finds the writes of the old
                // processes.
                let restarted: Vec<_> = if *all { vec![0, 1] } else { vec![step.process] };
                for process in &restarted {
                    self.processes[*process].stop();
                }
                for process in &restarted {
                    self.processes[*process].restart(
                        &self.backend,
                        &self.clock,
                        &self.entropy,
                        *argon2,
                        *limited,
                    );
                }
            }
            Action::Wait(_) => self.clock.set(model.now()),
            action => self.call(step.process, action, model),
        }
        self.check_new_events(step.process, model);
        if is_change(&step.action) {
            self.processes[1 - step.process].behind = true;
        }
    }
}

/// Whether the action changes the store, so that other processes must see the change.
const fn is_change(action: &Action) -> bool {
    match action {
        Action::Create { .. }
        | Action::Rotate { .. }
        | Action::Update { .. }
        | Action::SetAttributes { .. }
        | Action::Revoke { .. }
        | Action::RevokeAll { .. }
        | Action::Purge { .. }
        | Action::PurgeEvents { .. }
        | Action::Flush
        | Action::Reopen { .. } => true,
        Action::Find { .. }
        | Action::List { .. }
        | Action::Events { .. }
        | Action::Verify { .. }
        | Action::Introspect { .. }
        | Action::First
        | Action::Wait(_) => false,
    }
}
