//! Limits the number of connections, and selects the connection to evict at the limit.

use std::{
    cmp::Reverse,
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::activity::Activity;

/// A bounded number of places for connections.
pub(crate) struct Places {
    /// The connections that have a place, oldest first.
    occupants: Mutex<Vec<Arc<Occupant>>>,
    limit: usize,
    freed: Notify,
}

/// A connection that has a place.
pub(crate) struct Occupant {
    network: Network,
    activity: Arc<Activity>,
    evicted: Notify,
    left: Notify,
}

impl Places {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            occupants: Mutex::default(),
            limit,
            freed: Notify::new(),
        })
    }

    /// Takes a place for a connection from `network`. If all places are taken, evicts a connection
    /// first. Returns `None` if every connection has a request in progress.
    pub(crate) async fn take(self: &Arc<Self>, network: Network) -> Option<Place> {
        loop {
            if let Some(place) = self.try_take(network) {
                return Some(place);
            }
            // The evicted connection leaves at once: its task only drops it.
            self.evict()?.left.notified().await;
        }
    }

    /// Waits until a connection leaves. Returns at once if one has left since the last call.
    pub(crate) async fn freed(&self) {
        self.freed.notified().await;
    }

    fn try_take(self: &Arc<Self>, network: Network) -> Option<Place> {
        let mut occupants = self.occupants();
        if occupants.len() >= self.limit {
            return None;
        }
        let occupant = Arc::new(Occupant {
            network,
            activity: Arc::default(),
            evicted: Notify::new(),
            left: Notify::new(),
        });
        occupants.push(Arc::clone(&occupant));
        Some(Place {
            places: Arc::clone(self),
            occupant,
        })
    }

    /// Evicts a connection without a request in progress. Prefers the network with the most
    /// connections, then a connection that has not served a request, then the oldest.
    fn evict(&self) -> Option<Arc<Occupant>> {
        let occupants = self.occupants();
        let mut connections: HashMap<Network, usize> = HashMap::new();
        for occupant in &*occupants {
            *connections.entry(occupant.network).or_default() += 1;
        }
        let mut candidates: Vec<_> = occupants.iter().collect();
        // The sort is stable, so older connections stay first.
        candidates.sort_by_key(|occupant| {
            let connections = connections.get(&occupant.network).copied();
            (Reverse(connections), occupant.activity.has_served())
        });
        let closed = candidates
            .into_iter()
            .find(|occupant| occupant.activity.close())?;
        closed.evicted.notify_one();
        Some(Arc::clone(closed))
    }

    fn occupants(&self) -> MutexGuard<'_, Vec<Arc<Occupant>>> {
        self.occupants
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place for a connection, which is free again once this is dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    occupant: Arc<Occupant>,
}

impl Place {
    pub(crate) fn activity(&self) -> &Arc<Activity> {
        &self.occupant.activity
    }

    /// Waits until the connection is evicted.
    pub(crate) async fn evicted(&self) {
        self.occupant.evicted.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places
            .occupants()
            .retain(|occupant| !Arc::ptr_eq(occupant, &self.occupant));
        self.occupant.left.notify_one();
        self.places.freed.notify_one();
    }
}

/// The network of a client, which counts as one client: an IPv4 address, the first 64 bits of an
/// IPv6 address, or all Unix sockets together.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Network(Option<IpAddr>);

impl Network {
    /// Returns the network of the client with this address. A client of a Unix socket has none.
    pub(crate) fn of(address: Option<IpAddr>) -> Self {
        Self(address.map(|address| match address.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use http::Version;

    use super::*;

    fn network(address: &str) -> Network {
        Network::of(Some(address.parse().unwrap()))
    }

    fn place(places: &Arc<Places>, address: &str) -> Place {
        places.try_take(network(address)).unwrap()
    }

    /// Evicts a connection, and returns the number of the place that it has.
    fn evicted(places: &Places, taken: &[Place]) -> Option<usize> {
        let evicted = places.evict()?;
        let number = taken
            .iter()
            .position(|place| Arc::ptr_eq(&place.occupant, &evicted));
        Some(number.unwrap())
    }

    fn serve(place: &Place) {
        drop(place.activity().begin(Version::HTTP_11).unwrap());
        assert!(place.activity().sent());
    }

    #[test]
    fn the_network_with_the_most_connections_loses_an_idle_one_first() {
        let places = Places::new(5);
        let addresses = [
            "10.0.0.1",
            "2001:db8::1",
            "2001:db8::2",
            "::ffff:10.0.0.1",
            "2001:db8::3",
        ];
        let taken = addresses.map(|address| place(&places, address));
        assert!(places.try_take(network("10.0.0.2")).is_none());
        let mut order = Vec::new();
        while let Some(number) = evicted(&places, &taken) {
            order.push(number);
        }
        assert_eq!(order, [1, 2, 4, 0, 3]);
    }

    #[test]
    fn a_connection_that_has_served_stays_longer_than_a_silent_one() {
        let places = Places::new(3);
        let taken = [(); 3].map(|()| place(&places, "10.0.0.1"));
        serve(&taken[0]);
        serve(&taken[1]);
        let order = [(); 4].map(|()| evicted(&places, &taken));
        assert_eq!(order, [Some(2), Some(0), Some(1), None]);
    }

    #[test]
    fn a_request_in_progress_is_never_evicted() {
        let places = Places::new(1);
        let taken = [place(&places, "10.0.0.1")];
        let request = taken[0].activity().begin(Version::HTTP_11).unwrap();
        assert_eq!(evicted(&places, &taken), None);
        // The response is produced, and is still being sent.
        drop(request);
        assert_eq!(evicted(&places, &taken), None);
        assert!(taken[0].activity().sent());
        assert_eq!(evicted(&places, &taken), Some(0));
        assert!(taken[0].activity().begin(Version::HTTP_11).is_none());
    }

    #[tokio::test]
    async fn a_new_connection_takes_the_place_of_an_evicted_one() {
        let places = Places::new(1);
        let old = place(&places, "10.0.0.1");
        let old = tokio::spawn(async move { old.evicted().await });
        let new = places.take(network("10.0.0.2")).await.unwrap();
        old.await.unwrap();
        let _request = new.activity().begin(Version::HTTP_11).unwrap();
        assert!(places.take(network("10.0.0.3")).await.is_none());
        assert_eq!(places.occupants().len(), 1);
    }
}
