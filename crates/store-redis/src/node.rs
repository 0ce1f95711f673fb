//! One server, and the queues for requests to it.

use std::sync::Arc;

use keywright_core::store::Lease;
use redis::Client;

use crate::{
    batch::{BatchOptions, BatchQueue},
    config::ServerOptions,
    connection::Endpoint,
};

/// One server of the store.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) endpoint: Arc<Endpoint>,
    options: ServerOptions,
    shared: BatchQueue,
    /// The queue for changes that replicas must confirm, if any are configured.
    confirmed: Option<BatchQueue>,
}

impl Node {
    pub(crate) fn start(client: Client, options: ServerOptions, lease: &Arc<Lease>) -> Arc<Self> {
        let endpoint = Arc::new(Endpoint::new(client, options.tolerance, lease));
        let queue = |min_replicas| {
            let options = BatchOptions {
                min_replicas,
                timeout: options.deadline / 2,
            };
            BatchQueue::start(Arc::clone(&endpoint), options)
        };
        Arc::new(Self {
            shared: queue(0),
            confirmed: (options.min_replicas > 0).then(|| queue(options.min_replicas)),
            endpoint,
            options,
        })
    }

    pub(crate) const fn options(&self) -> ServerOptions {
        self.options
    }

    /// Returns the queue for requests that replicas must confirm, or the queue for all others.
    pub(crate) fn queue(&self, needs_confirmation: bool) -> &BatchQueue {
        match &self.confirmed {
            Some(queue) if needs_confirmation => queue,
            _ => &self.shared,
        }
    }
}
