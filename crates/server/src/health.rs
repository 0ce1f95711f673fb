//! `GET /healthz` and `GET /readyz`.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{extract::State, response::Response};
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use http::{HeaderMap, StatusCode};
use keywright_core::store::KeyStore;
use keywright_http_tower::error_response;

use crate::shutdown::Shutdown;

/// Whether the server is running
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "healthz",
    tag = "Server",
    responses((status = 200, description = "The server is running.", content_type = "text/plain", body = str)),
)]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether the server can reach its store and is not stopping
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    tag = "Server",
    responses((status = 200, description = "The server can reach its store and is not stopping.", content_type = "text/plain", body = str)),
)]
pub(crate) async fn readyz(
    State((readiness, shutdown)): State<(Readiness, Shutdown)>,
    headers: HeaderMap,
) -> Result<&'static str, Response> {
    let message = if shutdown.is_requested() {
        "the server is stopping"
    } else if readiness.check().await {
        return Ok("ok\n");
    } else {
        "the key store cannot be reached"
    };
    let status = StatusCode::SERVICE_UNAVAILABLE;
    Err(error_response(status, "unavailable", message, &headers).map(axum::body::Body::new))
}

type Check = BoxFuture<'static, bool>;

/// Checks whether the store can be reached.
///
/// Probes that arrive during a check share it, so the store receives at most one ping at a time. If
/// every probe that shares a check is dropped, the check is dropped.
#[derive(Clone)]
pub(crate) struct Readiness {
    start: Arc<dyn Fn() -> Check + Send + Sync>,
    current: Arc<Mutex<Option<WeakShared<Check>>>>,
}

impl Readiness {
    pub(crate) fn of(store: Arc<dyn KeyStore>) -> Self {
        Self::new(move || {
            let store = Arc::clone(&store);
            let ping = async move {
                let result = store.ping().await;
                if let Err(error) = &result {
                    tracing::error!(%error, "not ready");
                }
                result.is_ok()
            };
            ping.boxed()
        })
    }

    fn new(start: impl Fn() -> Check + Send + Sync + 'static) -> Self {
        Self {
            start: Arc::new(start),
            current: Arc::default(),
        }
    }

    async fn check(&self) -> bool {
        self.join().await
    }

    /// Joins the check in flight, or starts one.
    fn join(&self) -> Shared<Check> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let in_flight = current.as_ref().and_then(WeakShared::upgrade);
        if let Some(check) = in_flight.filter(|check| check.peek().is_none()) {
            return check;
        }
        let check = (self.start)().shared();
        *current = check.downgrade();
        check
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        sync::atomic::{AtomicBool, AtomicUsize, Ordering},
        task::Poll,
    };

    use super::*;

    /// A store that responds once `responds` is set.
    #[derive(Default)]
    struct Slow {
        started: AtomicUsize,
        dropped: AtomicUsize,
        responds: AtomicBool,
    }

    struct Ping(Arc<Slow>);

    impl Drop for Ping {
        fn drop(&mut self) {
            self.0.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Slow {
        fn readiness(self: &Arc<Self>) -> Readiness {
            let slow = Arc::clone(self);
            Readiness::new(move || {
                slow.started.fetch_add(1, Ordering::SeqCst);
                let ping = Ping(Arc::clone(&slow));
                poll_fn(move |context| {
                    if ping.0.responds.load(Ordering::SeqCst) {
                        return Poll::Ready(true);
                    }
                    context.waker().wake_by_ref();
                    Poll::Pending
                })
                .boxed()
            })
        }

        fn counts(&self) -> (usize, usize) {
            let [started, dropped] = [&self.started, &self.dropped];
            (
                started.load(Ordering::SeqCst),
                dropped.load(Ordering::SeqCst),
            )
        }
    }

    #[tokio::test]
    async fn concurrent_probes_share_one_check_of_the_store() {
        let slow = Arc::<Slow>::default();
        let readiness = slow.readiness();
        let probes: Vec<_> = (0..200).map(|_| readiness.join()).collect();
        for probe in &probes {
            assert!(probe.clone().now_or_never().is_none());
        }
        assert_eq!(slow.counts(), (1, 0));
        slow.responds.store(true, Ordering::SeqCst);
        for probe in probes {
            assert!(probe.await);
        }
        assert!(readiness.check().await);
        assert_eq!(slow.counts(), (2, 2), "a later probe reused an old result");
    }

    #[tokio::test]
    async fn a_check_ends_with_the_last_of_its_probes() {
        let slow = Arc::<Slow>::default();
        let readiness = slow.readiness();
        let [first, second] = [(); 2].map(|()| readiness.join());
        assert!(first.clone().now_or_never().is_none());
        drop(first);
        assert!(second.clone().now_or_never().is_none());
        assert_eq!(slow.counts(), (1, 0));
        drop(second);
        assert_eq!(slow.counts(), (1, 1));
        slow.responds.store(true, Ordering::SeqCst);
        assert!(readiness.check().await);
        assert_eq!(slow.counts(), (2, 2));
    }
}
