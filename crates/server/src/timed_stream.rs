//! Closes a connection that sends no request in time.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use crate::activity::Activity;

/// The time limits for the next request on a connection.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// From the first byte of a head to its last, and from the start of the connection to the end
    /// of the first head.
    pub(crate) head: Duration,
    /// From the end of a response to the first byte of the next head.
    pub(crate) idle: Duration,
}

/// A stream that ends when its client exceeds the [`Limits`].
///
/// hyper has only one limit, from the end of a response to the end of the next head. But a load
/// balancer keeps connections idle for a minute, while a head that takes a minute is an attack.
///
/// If a client sends the first part of a head together with the previous request's body, the limit
/// for that head starts with its next part.
///
/// After the first request of HTTP/2, [`Activity::http2_overdue`] limits the connection instead.
pub(crate) struct TimedStream<S> {
    stream: S,
    activity: Arc<Activity>,
    limits: Limits,
    deadline: Pin<Box<Sleep>>,
    /// Whether the connection has been idle since the last response.
    is_idle: bool,
}

impl<S> TimedStream<S> {
    pub(crate) fn new(stream: S, activity: Arc<Activity>, limits: Limits) -> Self {
        Self {
            stream,
            activity,
            limits,
            deadline: Box::pin(sleep(limits.head)),
            is_idle: false,
        }
    }

    fn restart(&mut self, limit: Duration) {
        self.deadline.as_mut().reset(now() + limit);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.activity.waits_for_head() {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        if this.deadline.as_mut().poll(context).is_ready() {
            // This is the end of the stream, so hyper closes the connection.
            return Poll::Ready(Ok(()));
        }
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        if this.is_idle {
            this.is_idle = false;
            this.restart(this.limits.head);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, buffer)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Starts the idle time. hyper calls this once it has written everything, and then waits for
    /// the next request.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(Pin::new(&mut this.stream).poll_flush(context))?;
        if this.activity.sent() {
            this.is_idle = true;
            this.restart(this.limits.idle);
            // hyper may already have polled the read, so wake it at the deadline. The deadline has
            // not passed yet.
            let _ = this.deadline.as_mut().poll(context);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a deadline on the runtime's clock"
)]
fn now() -> Instant {
    Instant::now()
}
