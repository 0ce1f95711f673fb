//! A time limit for a future, without an async runtime.

use std::{
    future::poll_fn,
    io,
    pin::pin,
    sync::mpsc::{self, RecvTimeoutError},
    task::Poll,
    thread,
    time::Duration,
};

use futures_channel::oneshot;

use crate::thread::JoinOnDrop;

/// Waits for `future`, for at most `limit`. Returns `None` at the limit, which a separate thread
/// enforces.
///
/// # Errors
///
/// Fails if the thread cannot be started.
pub(crate) async fn within<T>(
    limit: Duration,
    future: impl Future<Output = T>,
) -> io::Result<Option<T>> {
    let (running, over) = oneshot::channel::<()>();
    let (waiting, done) = mpsc::channel::<()>();
    let thread = thread::Builder::new()
        .name("kw-deadline".into())
        .spawn(move || {
            if done.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                drop(running);
            }
        })?;
    let _thread = JoinOnDrop::new(thread);
    // Dropped before the thread is joined, and ends it.
    let _waiting = waiting;
    let (mut future, mut over) = (pin!(future), pin!(over));
    Ok(poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => over.as_mut().poll(context).map(|_| None),
    })
    .await)
}

#[cfg(test)]
mod tests {
    use std::future;

    use futures_executor::block_on;

    use super::*;

    #[test]
    fn a_future_that_is_never_ready_ends_at_the_limit_and_another_does_not_wait() {
        let never = within(Duration::from_millis(1), future::pending::<()>());
        assert!(matches!(block_on(never), Ok(None)));
        let ready = within(Duration::MAX, future::ready(7));
        assert!(matches!(block_on(ready), Ok(Some(7))));
    }
}
