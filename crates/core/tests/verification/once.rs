//! Something that happens in the middle of something else.

use std::sync::Mutex;

type What = Box<dyn FnOnce() + Send>;

/// What happens once, at the next moment that it is meant for.
#[derive(Default)]
pub(crate) struct Once(Mutex<Option<What>>);

impl Once {
    pub(crate) fn set(&self, what: impl FnOnce() + Send + 'static) {
        *self.0.lock().unwrap() = Some(Box::new(what));
    }

    pub(crate) fn happen(&self) {
        // It may set another one.
        let what = self.0.lock().unwrap().take();
        if let Some(what) = what {
            what();
        }
    }
}
