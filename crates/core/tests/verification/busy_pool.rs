//! A hashing pool whose threads are all blocked.

use std::{
    num::NonZero,
    pin::Pin,
    sync::{Arc, Condvar, Mutex},
    task::{Context, Wake, Waker},
    thread,
};

use keywright_core::{Caller, IssueError, Issued, Keywright, Name, NewKey};

type Creation<'a> = Pin<Box<dyn Future<Output = Result<Issued, IssueError>> + 'a>>;

/// Blocks all threads of a hashing pool until it is dropped.
///
/// Each thread computes the hash of a new key and then wakes the task that waits for it. The waker
/// blocks the thread.
pub(crate) struct BusyPool<'a> {
    gate: Arc<Gate>,
    // The threads skip hashes that no task waits for.
    _creations: Vec<Creation<'a>>,
}

impl<'a> BusyPool<'a> {
    pub(crate) fn new(keys: &'a Keywright, caller: &'a Caller) -> Self {
        let gate = Arc::new(Gate::default());
        let waker = Waker::from(Arc::clone(&gate));
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let creations = (1..=threads)
            .map(|blocked| {
                let create = || -> Creation<'a> {
                    let new = NewKey::new(Name::parse("blocker").unwrap());
                    Box::pin(keys.issuer().create(caller, new))
                };
                let mut creation = create();
                // A hash that is ready before its task waits for it wakes no task.
                let mut context = Context::from_waker(&waker);
                while creation.as_mut().poll(&mut context).is_ready() {
                    creation = create();
                }
                // One after another, so that they need only one place in the queue.
                gate.await_blocked(blocked);
                creation
            })
            .collect();
        Self {
            gate,
            _creations: creations,
        }
    }
}

impl Drop for BusyPool<'_> {
    fn drop(&mut self) {
        self.gate.state.lock().unwrap().open = true;
        self.gate.changed.notify_all();
    }
}

/// A waker that blocks the waking thread until the gate is open.
#[derive(Default)]
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    blocked: usize,
    open: bool,
}

impl Gate {
    fn await_blocked(&self, threads: usize) {
        let state = self.state.lock().unwrap();
        let waited = self
            .changed
            .wait_while(state, |state| state.blocked < threads);
        drop(waited.unwrap());
    }
}

impl Wake for Gate {
    fn wake(self: Arc<Self>) {
        let mut state = self.state.lock().unwrap();
        state.blocked += 1;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| !state.open).unwrap());
    }
}
