//! Discards the rest of a body after an early response, so that a client that is still sending
//! receives the response.
//!
//! A handler that rejects a request drops the rest of its body. If the server then closed the
//! connection, the operating system would send a reset for the bytes that still arrive. A proxy or
//! client that receives the reset before the response reports a broken connection: nginx returns
//! 502.

use std::{
    future::{pending, poll_fn},
    mem,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    middleware::Next,
    response::Response,
};
use http::{
    HeaderValue, Version,
    header::{CONNECTION, EXPECT},
};
use http_body::{Frame, SizeHint};
use tokio::{sync::oneshot, time::timeout};

/// The maximum number of bytes of a body that the server reads after an early response.
pub(crate) const MAX_DRAINED: u64 = 16 * 1024 * 1024;

/// How long the server reads after an early response.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Handles a request. If the response is ready before the handler has read the body, discards the
/// rest of the body while the response is sent: up to [`MAX_DRAINED`] bytes, for up to
/// [`DRAIN_TIMEOUT`].
///
/// This must be the outermost layer. hyper then sends the response before this polls the rest of
/// the body, and does not ask for a body that the client holds back (`Expect: 100-continue`).
/// HTTP/2 needs no draining, because a stream can end without its connection.
pub(crate) async fn drain(request: Request, next: Next) -> Response {
    if request.version() > Version::HTTP_11 || request.body().is_end_stream() {
        return next.run(request).await;
    }
    let expects_continue = request.headers().contains_key(EXPECT);
    let (sender, mut unread) = oneshot::channel();
    let request = request.map(|body| Body::new(Recovered::new(body, sender)));
    let mut response = next.run(request).await;
    let Ok(body) = unread.try_recv() else {
        return response;
    };
    // A client that sends `Expect` may never send the body, and the server reads a body only up to
    // the limit. In both cases, no other request can follow on this connection.
    if expects_continue || body.size_hint().lower() > MAX_DRAINED {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    tokio::spawn(discard(body));
    response
}

/// Reads a body and drops each frame, up to [`MAX_DRAINED`] bytes. Then stops reading, and leaves
/// the client the rest of [`DRAIN_TIMEOUT`] to read the response. Dropping the body closes the
/// connection.
async fn discard(body: Body) {
    let mut body = pin!(body);
    let mut length = 0;
    let discarded = async {
        while let Some(Ok(frame)) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
            length += frame.data_ref().map_or(0, Bytes::len) as u64;
            if length > MAX_DRAINED {
                pending::<()>().await;
            }
        }
    };
    let _ = timeout(DRAIN_TIMEOUT, discarded).await;
}

/// A request body that goes back to [`drain`] when a handler drops it before its end.
struct Recovered {
    body: Body,
    sender: Option<oneshot::Sender<Body>>,
}

impl Recovered {
    const fn new(body: Body, sender: oneshot::Sender<Body>) -> Self {
        Self {
            body,
            sender: Some(sender),
        }
    }
}

impl HttpBody for Recovered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            // The body has ended or failed, so there is nothing left to read.
            self.sender = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Recovered {
    fn drop(&mut self) {
        if let Some(sender) = self.sender.take().filter(|_| !self.body.is_end_stream()) {
            // If the connection is gone, so is the receiver, and there is nothing left to read.
            let _ = sender.send(mem::take(&mut self.body));
        }
    }
}

/// Tests of the limits, on tokio's paused clock.
#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    use super::*;

    /// A body that never ends. It provides and counts `available` bytes, and then keeps its reader
    /// waiting.
    struct Endless {
        available: u64,
        read: Arc<AtomicU64>,
    }

    impl HttpBody for Endless {
        type Data = Bytes;
        type Error = axum::Error;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
            static FRAME: [u8; 0x4000] = [0; 0x4000];
            if self.read.load(Ordering::Relaxed) >= self.available {
                return Poll::Pending;
            }
            self.read.fetch_add(FRAME.len() as u64, Ordering::Relaxed);
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&FRAME)))))
        }
    }

    /// Discards an endless body, and returns how many bytes were read and how long it took.
    #[expect(clippy::disallowed_methods, reason = "measures tokio's paused clock")]
    async fn discarded(available: u64) -> (u64, Duration) {
        let read = Arc::new(AtomicU64::new(0));
        let body = Endless {
            available,
            read: Arc::clone(&read),
        };
        let started = tokio::time::Instant::now();
        discard(Body::new(body)).await;
        (read.load(Ordering::Relaxed), started.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_arrive_is_dropped_after_the_timeout() {
        let (_, time) = discarded(0).await;
        assert!(
            (DRAIN_TIMEOUT..2 * DRAIN_TIMEOUT).contains(&time),
            "{time:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_without_an_end_is_read_up_to_the_limit() {
        let (read, time) = discarded(u64::MAX).await;
        assert!(
            (MAX_DRAINED..MAX_DRAINED + 0x8000).contains(&read),
            "{read}"
        );
        assert!(
            (DRAIN_TIMEOUT..2 * DRAIN_TIMEOUT).contains(&time),
            "{time:?}"
        );
    }
}
