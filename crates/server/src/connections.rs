//! Accepts connections, within a limit, until a signal.

use std::{net::IpAddr, pin::pin, sync::Arc, time::Duration};

use anyhow::{Result, bail};
use axum::Router;
use futures_util::future::join_all;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    connection::{self, Routes},
    listen::Socket,
    places::{Network, Place, Places},
    rlimits,
    shutdown::Shutdown,
    streams::Streams,
};

/// How long the server still accepts connections after a signal, and then how long these may take
/// to send their first request. A client that connects just before the signal gets its response.
const LATECOMERS: Duration = Duration::from_millis(100);

/// The number of connections that the server accepts beyond the maximum. It is also the maximum for
/// a separate listener for probes. Further connections wait to be accepted.
const RESERVED_PLACES: usize = 16;

/// The number of open files that are reserved for the store, probes and everything else that is not
/// a client connection.
const RESERVED_FILES: usize = 100;

/// How long requests in flight may take to finish after the signal. The store needs the rest of the
/// shutdown deadline to close.
const GRACE: Duration = Duration::from_secs(15);

/// Listening sockets, their routes and the limit on their connections.
pub(crate) struct Listener {
    sockets: Vec<Socket>,
    routes: Routes,
    places: Arc<Places>,
    /// The places and the routes for connections beyond the limit.
    reserve: Option<(Arc<Places>, Routes)>,
}

impl Listener {
    /// Returns a listener for at most `max` connections of clients. The router `overloaded` serves
    /// requests of HTTP/2 beyond the share of their client. With `has_reserve`, it also serves
    /// connections beyond the limit.
    pub(crate) fn of_clients(
        sockets: Vec<Socket>,
        router: Router,
        overloaded: Router,
        max: usize,
        has_reserve: bool,
    ) -> Self {
        let max = max_connections(max);
        let routes = |router, streams| Routes {
            router,
            overloaded: overloaded.clone(),
            streams: Streams::new(streams),
        };
        let reserve = || {
            let routes = routes(overloaded.clone(), 0);
            (Places::new(RESERVED_PLACES), routes)
        };
        Self {
            sockets,
            routes: routes(router, max),
            places: Places::new(max),
            reserve: has_reserve.then(reserve),
        }
    }

    /// Returns a listener that serves only probes.
    pub(crate) fn of_probes(sockets: Vec<Socket>, router: Router) -> Self {
        Self {
            sockets,
            routes: Routes {
                overloaded: router.clone(),
                router,
                streams: Streams::new(0),
            },
            places: Places::new(RESERVED_PLACES),
            reserve: None,
        }
    }

    /// Accepts connections on all sockets forever, and serves each in a separate task, which holds
    /// a clone of `stop`.
    async fn accept_all(&self, keep_alive: Duration, stop: &watch::Receiver<()>) {
        let accepting = self.sockets.iter();
        join_all(accepting.map(|socket| self.accept(socket, keep_alive, stop))).await;
    }

    async fn accept(&self, socket: &Socket, keep_alive: Duration, stop: &watch::Receiver<()>) {
        loop {
            let (stream, peer) = match socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // The process has probably run out of file descriptors. Closing connections
                    // frees some, so try again soon.
                    tracing::warn!(%error, "could not accept a connection");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (place, routes, keep_alive) = self.place(peer, keep_alive).await;
            let (routes, stop) = (routes.clone(), stop.clone());
            tokio::spawn(async move {
                let activity = Arc::clone(place.activity());
                tokio::select! {
                    () = place.evicted() => {
                        tracing::debug!("closed a connection to make room for another one");
                    }
                    () = connection::serve(stream, peer, routes, activity, keep_alive, stop) => {}
                }
                // The connection is closed. Now another one may take its place.
                drop(place);
            });
        }
    }

    /// Waits for a place, and returns it with the routes and the idle time of its connection.
    async fn place(
        &self,
        peer: Option<IpAddr>,
        keep_alive: Duration,
    ) -> (Place, &Routes, Duration) {
        let network = Network::of(peer);
        loop {
            if let Some(place) = self.places.take(network).await {
                return (place, &self.routes, keep_alive);
            }
            let Some((places, routes)) = &self.reserve else {
                self.places.freed().await;
                continue;
            };
            if let Some(place) = places.take(network).await {
                // The server closes such a connection after one response.
                return (place, routes, Duration::ZERO);
            }
            tokio::select! {
                () = self.places.freed() => {}
                () = places.freed() => {}
            }
        }
    }
}

/// Serves until a signal arrives, and for `shutdown_delay` longer. Then finishes the requests in
/// flight. Closes a connection that has been idle for `keep_alive`.
///
/// # Errors
///
/// If requests were still in flight when the server stopped.
pub(crate) async fn serve(
    clients: Listener,
    probes: Option<Listener>,
    keep_alive: Duration,
    shutdown_delay: Duration,
    mut shutdown: Shutdown,
) -> Result<()> {
    let (stop, stopped) = watch::channel(());
    {
        let mut accepting = pin!(async {
            tokio::join!(clients.accept_all(keep_alive, &stopped), async {
                if let Some(probes) = &probes {
                    probes.accept_all(keep_alive, &stopped).await;
                }
            })
        });
        tokio::select! {
            _ = &mut accepting => {}
            () = shutdown.requested() => {}
        }
        if !shutdown_delay.is_zero() {
            let delay = humantime::format_duration(shutdown_delay);
            tracing::info!("not ready any more; the listener closes in {delay}");
            let _ = timeout(shutdown_delay, &mut accepting).await;
        }
        tracing::info!("stopping");
        let _ = timeout(LATECOMERS, accepting).await;
    }
    drop((clients, probes));
    sleep(LATECOMERS).await;
    drop(stopped);
    let _ = stop.send(());
    tokio::select! {
        // Each connection holds a receiver.
        () = stop.closed() => Ok(()),
        () = sleep(GRACE) => bail!("some requests did not finish in time"),
    }
}

/// Returns how many connections the server accepts at a time. The store needs file descriptors, so
/// a low limit on open files means fewer connections.
fn max_connections(max: usize) -> usize {
    let files = rlimits::raise_open_files((max + RESERVED_FILES) as u64);
    let files = usize::try_from(files).unwrap_or(usize::MAX);
    let connections = files.saturating_sub(RESERVED_FILES).clamp(1, max);
    if connections < max {
        tracing::warn!(
            "the system allows {files} open files, so the server accepts {connections} connections at a time"
        );
    }
    connections
}
