//! Stopping worker threads when a test ends, even when it panics.

use std::sync::atomic::{AtomicBool, Ordering};

/// Clears a flag when it is dropped. The threads of a scope continue while the flag is set.
pub(crate) struct StopOnDrop<'a>(pub(crate) &'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}
