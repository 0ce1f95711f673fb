//! Keeps statements with data out of the log of the host.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tracing::{Dispatch, dispatcher};

/// A future that logs nothing.
///
/// The driver logs the text of each statement, and by default a slow one as a warning. The text of
/// a change contains hashes and the attributes of keys. The pool belongs to the host, so the store
/// cannot change its settings.
pub(crate) struct Unlogged<F>(Option<Pin<Box<F>>>);

impl<F: Future> Unlogged<F> {
    pub(crate) fn new(future: F) -> Self {
        Self(Some(Box::pin(future)))
    }
}

impl<F: Future> Future for Unlogged<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Some(future) => {
                dispatcher::with_default(&Dispatch::none(), || future.as_mut().poll(context))
            }
            // Only `drop` removes the future.
            None => Poll::Pending,
        }
    }
}

impl<F> Drop for Unlogged<F> {
    fn drop(&mut self) {
        // If it is cancelled, the driver logs the statement now.
        dispatcher::with_default(&Dispatch::none(), || drop(self.0.take()));
    }
}
