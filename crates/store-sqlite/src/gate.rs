//! Gates through which the writer pauses the readers of its own handle, so that it can restart the
//! log.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// One gate for each kind of reader.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    /// Finds, which take microseconds.
    pub(crate) finds: Gate,
    /// Lists, which take milliseconds.
    pub(crate) lists: Gate,
    /// Backups, whose duration depends on the size of the file.
    pub(crate) backups: Gate,
}

/// A gate that a reader enters for each transaction.
///
/// A reader is inside while it has a transaction. It sends results to its callers after it has
/// left. The writer closes the gate and waits until no reader is inside.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    inside: usize,
}

impl Gate {
    /// Waits while the gate is closed, and enters it.
    pub(crate) fn enter(&self) -> Inside<'_> {
        let mut state = self.wait_while(|state| state.closed);
        state.inside += 1;
        Inside(self)
    }

    /// Closes the gate, and waits until every reader has left it.
    pub(crate) fn close(&self) -> Closed<'_> {
        self.state().closed = true;
        let _none_inside = self.wait_while(|state| state.inside > 0);
        Closed(self)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Whether a reader is inside.
    pub(crate) fn is_in_use(&self) -> bool {
        self.state().inside > 0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, condition: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        self.changed
            .wait_while(self.state(), |state| condition(state))
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reader is inside the gate until this is dropped.
pub(crate) struct Inside<'a>(&'a Gate);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.state().inside -= 1;
        self.0.changed.notify_all();
    }
}

/// The gate is closed until this is dropped.
pub(crate) struct Closed<'a>(&'a Gate);

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.0.state().closed = false;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;

    #[test]
    fn a_closed_gate_waits_for_readers_inside_and_keeps_others_out() {
        let gate = &Gate::default();
        let (sender, order) = mpsc::channel();
        thread::scope(|scope| {
            let first = gate.enter();
            let writer = sender.clone();
            scope.spawn(move || {
                let closed = gate.close();
                writer.send("closed").unwrap();
                drop(closed);
            });
            while !gate.is_closed() {
                thread::yield_now();
            }
            scope.spawn(move || {
                let _second = gate.enter();
                sender.send("entered").unwrap();
            });
            assert!(order.try_recv().is_err());
            drop(first);
            assert_eq!(order.recv(), Ok("closed"));
            assert_eq!(order.recv(), Ok("entered"));
        });
        assert!(!gate.is_in_use() && !gate.is_closed());
    }
}
