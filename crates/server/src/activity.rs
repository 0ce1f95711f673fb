//! Records whether a connection has a request in progress. Its stream, its service and the server
//! share the record.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::{Context, Poll},
};

use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};

/// No request is in progress: the connection is idle, or a head is arriving.
const WAITING: u8 = 0;
/// A request is being handled.
const BUSY: u8 = 1;
/// The response is complete, but may not have been sent yet.
const SENDING: u8 = 2;

/// The server is closing the connection.
const CLOSED: u8 = 3;

/// The state of a connection.
#[derive(Default)]
pub(crate) struct Activity {
    state: AtomicU8,
    has_served: AtomicBool,
}

impl Activity {
    /// Starts a request. Returns a guard that ends the request when it is dropped, or `None` if the
    /// connection is being closed.
    pub(crate) fn begin(self: &Arc<Self>) -> Option<InProgress> {
        let begin = |state| (state != CLOSED).then_some(BUSY);
        let begun = self
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, begin);
        begun.is_ok().then(|| InProgress(Arc::clone(self)))
    }

    /// Records that all output was sent. Returns whether this completes a response.
    pub(crate) fn sent(&self) -> bool {
        let completes = self.change(SENDING, WAITING);
        if completes {
            self.has_served.store(true, Ordering::Release);
        }
        completes
    }

    /// Whether no request is in progress.
    pub(crate) fn is_waiting(&self) -> bool {
        self.state.load(Ordering::Acquire) == WAITING
    }

    /// Whether the connection has completed a response.
    pub(crate) fn has_served(&self) -> bool {
        self.has_served.load(Ordering::Acquire)
    }

    /// Closes the connection for further requests. Returns `false` if a request is in progress.
    pub(crate) fn close(&self) -> bool {
        self.change(WAITING, CLOSED)
    }

    fn change(&self, from: u8, to: u8) -> bool {
        self.state
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

/// A request in progress.
pub(crate) struct InProgress(Arc<Activity>);

impl InProgress {
    /// Keeps the request in progress until the end of the body of its response.
    pub(crate) fn until_end_of(self, body: Body) -> GuardedBody {
        GuardedBody {
            body,
            _request: self,
        }
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.change(BUSY, SENDING);
    }
}

/// The body of a response. The request stays in progress until the body is dropped.
pub(crate) struct GuardedBody {
    body: Body,
    _request: InProgress,
}

impl HttpBody for GuardedBody {
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
