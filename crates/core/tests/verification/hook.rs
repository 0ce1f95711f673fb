//! Hooks, which run a test's action in the middle of a call.

use std::sync::Mutex;

type Action = Box<dyn FnOnce() + Send>;

/// A place where a test's action runs once.
#[derive(Default)]
pub(crate) struct Hook(Mutex<Option<Action>>);

impl Hook {
    /// Sets the action for the next time that the place is reached.
    pub(crate) fn set(&self, action: impl FnOnce() + Send + 'static) {
        *self.0.lock().unwrap() = Some(Box::new(action));
    }

    pub(crate) fn run(&self) {
        // Release the lock first: the action may set another action.
        let action = self.0.lock().unwrap().take();
        if let Some(action) = action {
            action();
        }
    }
}
