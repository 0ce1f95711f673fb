//! The host's function that changes the responses to rejected requests.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{Response, request::Parts};
use http_body_util::Full;

use super::Rejection;

type Change =
    dyn Fn(&Rejection, &Parts, Response<Full<Bytes>>) -> Response<Full<Bytes>> + Send + Sync;

/// A function of the host that changes the response to a rejected request.
#[derive(Clone)]
pub(super) struct OnReject(Arc<Change>);

impl OnReject {
    pub(super) fn new(
        change: impl Fn(&Rejection, &Parts, Response<Full<Bytes>>) -> Response<Full<Bytes>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self(Arc::new(change))
    }

    pub(super) fn call(
        &self,
        rejection: &Rejection,
        request: &Parts,
        response: Response<Full<Bytes>>,
    ) -> Response<Full<Bytes>> {
        (self.0)(rejection, request, response)
    }
}

impl fmt::Debug for OnReject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnReject(..)")
    }
}
