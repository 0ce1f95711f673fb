//! Threads that end with their owner.

use std::thread::{self, JoinHandle};

/// A thread that is waited for when this is dropped.
pub(crate) struct Thread(Option<JoinHandle<()>>);

impl Thread {
    pub(crate) const fn new(thread: JoinHandle<()>) -> Self {
        Self(Some(thread))
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // An answer may wake whoever drops the owner right there, on the thread that answers; a
        // thread cannot wait for itself.
        if let Some(thread) = self.0.take()
            && thread.thread().id() != thread::current().id()
        {
            // It catches the panics of its jobs; there is nobody to tell of another one.
            let _ = thread.join();
        }
    }
}
