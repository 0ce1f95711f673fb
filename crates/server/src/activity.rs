//! Records which requests of a connection are in progress. Its stream, its service and the server
//! share the record.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, Bytes};
use http::Version;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

/// The state of a connection.
#[derive(Default)]
pub(crate) struct Activity {
    state: watch::Sender<State>,
    uses_http2: Notify,
}

#[derive(Default)]
struct State {
    phase: Phase,
    is_http2: bool,
    has_served: bool,
    /// The number of requests that have begun.
    begun: u64,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No request is in progress: the connection is idle, or a head is arriving.
    #[default]
    Waiting,
    /// This many requests are being handled. HTTP/1.1 has one at a time.
    Busy(usize),
    /// The responses are complete, but may not have been sent yet.
    Sending,
    /// The server is closing the connection.
    Closed,
}

impl Activity {
    /// Starts a request. Returns a guard that ends the request when it is dropped, or `None` if the
    /// connection is being closed.
    pub(crate) fn begin(self: &Arc<Self>, version: Version) -> Option<InProgress> {
        let is_http2 = version == Version::HTTP_2;
        let mut others = None;
        self.state.send_if_modified(|state| {
            let busy = match state.phase {
                Phase::Closed => return false,
                Phase::Waiting | Phase::Sending => 0,
                Phase::Busy(busy) => busy,
            };
            if is_http2 && !state.is_http2 {
                state.is_http2 = true;
                self.uses_http2.notify_one();
            }
            others = Some(busy);
            state.phase = Phase::Busy(busy + 1);
            state.begun += 1;
            true
        });
        others.map(|others| InProgress {
            activity: Arc::clone(self),
            is_only: others == 0,
        })
    }

    /// Records that all output was sent. Returns whether this completes a response.
    pub(crate) fn sent(&self) -> bool {
        self.state.send_if_modified(|state| {
            let completes = state.phase == Phase::Sending;
            if completes {
                state.phase = Phase::Waiting;
                state.has_served = true;
            }
            completes
        })
    }

    /// Whether the connection waits for the head of a request of HTTP/1.1.
    pub(crate) fn waits_for_head(&self) -> bool {
        let state = self.state.borrow();
        state.phase == Phase::Waiting && !state.is_http2
    }

    /// Whether the connection has completed a response.
    pub(crate) fn has_served(&self) -> bool {
        self.state.borrow().has_served
    }

    /// Closes the connection for further requests. Returns `false` if a request is in progress.
    pub(crate) fn close(&self) -> bool {
        self.state.send_if_modified(|state| {
            let closes = state.phase == Phase::Waiting;
            if closes {
                state.phase = Phase::Closed;
            }
            closes
        })
    }

    /// Waits until the connection may close, and closes it for further requests.
    pub(crate) async fn closed(&self) {
        let mut state = self.state.subscribe();
        while !self.close() {
            // The sender is a field of `self`.
            let _ = state.changed().await;
        }
    }

    /// Waits until a connection of HTTP/2 has been idle for `idle`, or busy for `busy` without a
    /// pause. Frames such as pings do not count.
    ///
    /// A response that the client does not read keeps a connection busy.
    pub(crate) async fn http2_overdue(&self, idle: Duration, busy: Duration) {
        self.uses_http2.notified().await;
        let mut state = self.state.subscribe();
        loop {
            let waiting = state.wait_for(|state| state.phase == Phase::Waiting);
            let begun = match timeout(busy, waiting).await {
                Ok(Ok(state)) => state.begun,
                _ => return,
            };
            let next = state.wait_for(|state| state.begun != begun);
            if timeout(idle, next).await.is_err() {
                return;
            }
        }
    }
}

/// A request in progress.
pub(crate) struct InProgress {
    activity: Arc<Activity>,
    is_only: bool,
}

impl InProgress {
    /// Whether no other request of the connection was in progress when this one began.
    pub(crate) const fn is_only(&self) -> bool {
        self.is_only
    }

    /// Keeps the request, and `guard`, in progress until the end of the body of its response.
    pub(crate) const fn until_end_of<G>(self, body: Body, guard: G) -> GuardedBody<G> {
        GuardedBody {
            body,
            _request: self,
            _guard: guard,
        }
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.activity.state.send_if_modified(|state| {
            state.phase = match state.phase {
                Phase::Busy(busy @ 2..) => Phase::Busy(busy - 1),
                _ => Phase::Sending,
            };
            true
        });
    }
}

/// The body of a response. The request stays in progress until the body is dropped.
pub(crate) struct GuardedBody<G> {
    body: Body,
    _request: InProgress,
    _guard: G,
}

impl<G: Unpin> HttpBody for GuardedBody<G> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
