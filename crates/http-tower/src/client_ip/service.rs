//! The service that `ClientIpLayer` wraps around another service.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::Request;
use tower_service::Service;

use super::{ClientIp, layer::Settings};

/// A service behind [`ClientIpLayer`](crate::ClientIpLayer).
#[derive(Debug, Clone)]
pub struct ClientIpService<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> ClientIpService<S> {
    pub(super) const fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for ClientIpService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        let client = self
            .settings
            .client(request.extensions(), request.headers());
        let extensions = request.extensions_mut();
        // The address of a proxy must not stand for an unknown client.
        extensions.remove::<ClientIp>();
        if let Some(client) = client {
            extensions.insert(ClientIp(client));
        }
        self.inner.call(request)
    }
}
