//! One server, and the queues for requests to it.

use std::sync::Arc;

use keywright_core::store::Lease;
use redis::Client;

use crate::{
    batch::{BatchOptions, BatchQueue},
    config::ServerOptions,
    connection::Endpoint,
    request::Lane,
};

/// One server of the store.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) endpoint: Arc<Endpoint>,
    options: ServerOptions,
    shared: BatchQueue,
    /// The queue for lists, cascades and purges.
    walks: BatchQueue,
    /// The queue for changes that replicas must confirm, if any are configured.
    confirmed: Option<BatchQueue>,
}

impl Node {
    pub(crate) fn start(client: Client, options: ServerOptions, lease: &Arc<Lease>) -> Arc<Self> {
        let endpoint = Arc::new(Endpoint::new(client, options.tolerance, lease));
        let queue = |workers, min_replicas, separate| {
            let options = BatchOptions {
                workers,
                min_replicas,
                separate,
                timeout: options.deadline / 2,
            };
            BatchQueue::start(&endpoint, options)
        };
        let min_replicas = options.min_replicas;
        Arc::new(Self {
            shared: queue(2, 0, false),
            walks: queue(1, 0, true),
            confirmed: (min_replicas > 0).then(|| queue(1, min_replicas, true)),
            endpoint,
            options,
        })
    }

    pub(crate) const fn options(&self) -> ServerOptions {
        self.options
    }

    /// Returns the queue for requests that replicas must confirm, or the queue for all other
    /// requests of a lane.
    pub(crate) fn queue(&self, lane: Lane, needs_confirmation: bool) -> &BatchQueue {
        match (&self.confirmed, lane) {
            (Some(queue), _) if needs_confirmation => queue,
            (_, Lane::Single) => &self.shared,
            (_, Lane::Walk) => &self.walks,
        }
    }
}
