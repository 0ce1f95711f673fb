//! An executor for futures that never wait.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

/// Returns the output of a future that is ready at its first poll. The backends of the models await
/// nothing, so their futures always are.
pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("a model's backend does not wait"),
    }
}
