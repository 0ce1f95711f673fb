//! Limits the number of requests that connections of HTTP/2 have in progress at the same time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::places::Network;

/// A bounded number of requests.
///
/// The first request of a connection does not count, because the connection has a place. A client
/// gets another stream while it has fewer than are free. So one client uses at most half of them,
/// two use a third each, and some always remain for the next client.
pub(crate) struct Streams {
    limit: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    total: usize,
    by_network: HashMap<Network, usize>,
}

impl Streams {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            taken: Mutex::default(),
        })
    }

    /// Takes a stream for a client. Returns `None` if the client has its share.
    pub(crate) fn take(self: &Arc<Self>, network: Network) -> Option<StreamPermit> {
        let mut taken = self.taken();
        let free = self.limit - taken.total;
        let own = taken.by_network.get(&network).copied().unwrap_or_default();
        if own >= free {
            return None;
        }
        taken.total += 1;
        taken.by_network.insert(network, own + 1);
        Some(StreamPermit {
            streams: Arc::clone(self),
            network,
        })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream of a client, which is free again once this is dropped.
pub(crate) struct StreamPermit {
    streams: Arc<Streams>,
    network: Network,
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        let mut taken = self.streams.taken();
        taken.total -= 1;
        if let Some(own) = taken.by_network.get_mut(&self.network) {
            *own -= 1;
            if *own == 0 {
                taken.by_network.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;

    fn take_all(streams: &Arc<Streams>, network: Network) -> Vec<StreamPermit> {
        iter::from_fn(|| streams.take(network)).collect()
    }

    #[test]
    fn a_client_takes_no_more_streams_than_it_leaves_free() {
        let streams = Streams::new(12);
        let network = |last| Network::of(Some([10, 0, 0, last].into()));
        let first = take_all(&streams, network(1));
        assert_eq!(first.len(), 6);
        let second = take_all(&streams, network(2));
        let unix = take_all(&streams, Network::of(None));
        assert_eq!((second.len(), unix.len()), (3, 2));
        drop(first);
        assert_eq!(take_all(&streams, network(3)).len(), 4);
        drop((second, unix));
        assert!(streams.taken().by_network.is_empty());
        assert_eq!(streams.taken().total, 0);
    }
}
