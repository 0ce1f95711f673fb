//! Accepts connections and serves HTTP/1.1 on them, within limits, until a signal.

use std::{io::ErrorKind, net::IpAddr, pin::pin, sync::Arc, time::Duration};

use anyhow::{Result, bail};
use axum::Router;
use hyper::{
    Request,
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulConnection, GracefulShutdown},
    service::TowerToHyperService,
};
use keywright_http_tower::ClientIp;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_io_timeout::TimeoutStream;

use crate::{
    activity::Activity,
    places::{Place, Places},
    rlimits,
    shutdown::Shutdown,
    timed_stream::{Limits, TimedStream},
};

/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// The size of hyper's read buffer, in bytes. The last read may go beyond it, so that heads of up
/// to about 192 KiB are accepted.
const MAX_HEAD_LENGTH: usize = 128 * 1024;

/// How long a client may leave a response unread.
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);

/// How long the server still accepts connections after a signal, and then how long these may take
/// to send their first request. A client that connects just before the signal gets its response.
const LATECOMERS: Duration = Duration::from_millis(100);

/// The maximum number of connections, if the system allows as many open files.
const MAX_CONNECTIONS: usize = 1000;

/// The number of connections that the server accepts beyond the maximum. It is also the maximum for
/// a separate listener for probes. Further connections wait to be accepted.
const RESERVED_PLACES: usize = 16;

/// The number of open files that are reserved for the store, probes and everything else that is not
/// a client connection.
const RESERVED_FILES: usize = 100;

/// How long requests in flight may take to finish after the signal. The store needs the rest of the
/// shutdown deadline to close.
const GRACE: Duration = Duration::from_secs(15);

/// A listening socket, its routes and the limit on its connections.
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) router: Router,
    pub(crate) places: Arc<Places>,
    /// The places and the router for connections beyond the limit.
    pub(crate) reserve: Option<(Arc<Places>, Router)>,
}

impl Listener {
    /// Returns a listener for clients. The router `reserve`, if any, serves connections beyond the
    /// limit.
    pub(crate) fn of_clients(socket: TcpListener, router: Router, reserve: Option<Router>) -> Self {
        Self {
            socket,
            router,
            places: Places::new(max_connections()),
            reserve: reserve.map(|router| (Places::new(RESERVED_PLACES), router)),
        }
    }

    /// Returns a listener that serves only probes.
    pub(crate) fn of_probes(socket: TcpListener, router: Router) -> Self {
        Self {
            socket,
            router,
            places: Places::new(RESERVED_PLACES),
            reserve: None,
        }
    }

    /// Accepts connections forever, and serves each in a separate task.
    async fn accept_all(&self, keep_alive: Duration, connections: &GracefulShutdown) {
        loop {
            let (stream, client) = match self.socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // The process has probably run out of file descriptors. Closing connections
                    // frees some, so try again soon.
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let _ = stream.set_nodelay(true);
            let (place, router, keep_alive) = self.place(client.ip(), keep_alive).await;
            let activity = Arc::clone(place.activity());
            let peer = client.ip();
            let connection = connection(stream, peer, router.clone(), activity, keep_alive);
            let connection = connections.watch(connection);
            tokio::spawn(async move {
                tokio::select! {
                    () = place.evicted() => {
                        tracing::debug!("closed a connection to make room for another one");
                    }
                    ended = connection => if let Err(error) = ended {
                        tracing::debug!(%error, "connection ended early");
                    }
                }
                // The connection is closed. Now another one may take its place.
                drop(place);
            });
        }
    }

    /// Waits for a place, and returns it with the router and the idle time of its connection.
    async fn place(&self, client: IpAddr, keep_alive: Duration) -> (Place, &Router, Duration) {
        loop {
            if let Some(place) = self.places.take(client).await {
                return (place, &self.router, keep_alive);
            }
            let Some((places, router)) = &self.reserve else {
                self.places.freed().await;
                continue;
            };
            if let Some(place) = places.take(client).await {
                // The server closes such a connection after one response.
                return (place, router, Duration::ZERO);
            }
            tokio::select! {
                () = self.places.freed() => {}
                () = places.freed() => {}
            }
        }
    }
}

/// Serves until a signal arrives, then finishes the requests in flight. Closes a connection that
/// has been idle for `keep_alive`.
///
/// # Errors
///
/// If requests were still in flight when the server stopped.
pub(crate) async fn serve(
    clients: Listener,
    probes: Option<Listener>,
    keep_alive: Duration,
    mut shutdown: Shutdown,
) -> Result<()> {
    let connections = GracefulShutdown::new();
    {
        let mut accepting = pin!(async {
            tokio::join!(clients.accept_all(keep_alive, &connections), async {
                if let Some(probes) = &probes {
                    probes.accept_all(keep_alive, &connections).await;
                }
            })
        });
        tokio::select! {
            _ = &mut accepting => {}
            () = shutdown.requested() => {}
        }
        tracing::info!("stopping");
        let _ = tokio::time::timeout(LATECOMERS, accepting).await;
    }
    drop((clients, probes));
    tokio::time::sleep(LATECOMERS).await;
    tokio::select! {
        () = connections.shutdown() => Ok(()),
        () = tokio::time::sleep(GRACE) => bail!("some requests were not finished in time"),
    }
}

/// Returns how many connections the server accepts at a time. The store needs file descriptors, so
/// a low limit on open files means fewer connections.
fn max_connections() -> usize {
    let files = rlimits::raise_open_files((MAX_CONNECTIONS + RESERVED_FILES) as u64);
    let files = usize::try_from(files).unwrap_or(usize::MAX);
    let connections = files
        .saturating_sub(RESERVED_FILES)
        .clamp(1, MAX_CONNECTIONS);
    if connections < MAX_CONNECTIONS {
        tracing::warn!(
            "the system allows {files} open files, so the server accepts {connections} connections at a time"
        );
    }
    connections
}

/// Serves HTTP/1.1 on a stream from a peer, within limits. The future completes when the connection
/// is closed.
fn connection<S: AsyncRead + AsyncWrite + Send + 'static>(
    stream: S,
    peer: IpAddr,
    router: Router,
    activity: Arc<Activity>,
    keep_alive: Duration,
) -> impl GracefulConnection<Error = hyper::Error> + Send + use<S> {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    let limits = Limits {
        head: HEAD_TIMEOUT,
        idle: keep_alive,
    };
    let stream = TimedStream::new(Box::pin(stream), Arc::clone(&activity), limits);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ClientIp(peer));
        let begun = activity.begin();
        let response = router.call(request);
        async move {
            let in_progress = begun.ok_or(ErrorKind::ConnectionAborted)?;
            let Ok(response) = response.await;
            Ok::<_, std::io::Error>(response.map(|body| in_progress.until_end_of(body)))
        }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        // `TimedStream` limits the time for a head.
        .header_read_timeout(None)
        .keep_alive(!keep_alive.is_zero())
        .max_buf_size(MAX_HEAD_LENGTH)
        .serve_connection(TokioIo::new(stream), service)
}

/// The limits of a connection, on tokio's paused clock.
#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use axum::routing::{get, post};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split},
        time::{sleep, timeout},
    };

    use super::*;
    use crate::middleware::{REQUEST_TIMEOUT, observe};

    /// An allowance for the timers of tokio and hyper, which have a resolution of a millisecond.
    const RESOLUTION: Duration = Duration::from_millis(10);

    /// Longer than any other limit, and longer than the 60 seconds of common load balancers.
    const KEEP_ALIVE: Duration = Duration::from_secs(75);

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// Starts a connection and returns the client's end.
    fn start(buffer: usize) -> DuplexStream {
        let (client, server) = duplex(buffer);
        let router = Router::new()
            .route("/long", get("x".repeat(100_000)))
            .route("/echo", post(async |body: String| body))
            .layer(axum::middleware::from_fn(observe));
        tokio::spawn(connection(server, PEER, router, Arc::default(), KEEP_ALIVE));
        client
    }

    /// Sends `head`, then a byte each second, and returns what the server sends until it closes the
    /// connection. Asserts that it does so after `limit`.
    async fn closed_after(limit: Duration, head: &str, drips: bool) -> String {
        let (mut reader, mut writer) = split(start(1 << 20));
        writer.write_all(head.as_bytes()).await.unwrap();
        let drip = tokio::spawn(async move {
            while drips && writer.write_all(b"x").await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
            writer
        });
        let mut received = String::new();
        {
            let mut closed = pin!(reader.read_to_string(&mut received));
            let early = timeout(limit - RESOLUTION, &mut closed).await;
            assert!(early.is_err(), "closed before {limit:?}");
            let late = timeout(2 * RESOLUTION, &mut closed).await;
            assert!(late.is_ok(), "open after {limit:?}");
        }
        drip.abort();
        received
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_request_is_closed() {
        closed_after(HEAD_TIMEOUT, "", false).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_arrives_byte_by_byte_gets_no_more_time() {
        closed_after(HEAD_TIMEOUT, "GET /long HTTP/1.1\r\na: ", true).await;
    }

    const ECHO: &str = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nx";

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_kept_for_longer_than_load_balancers_keep_it() {
        let received = closed_after(KEEP_ALIVE, ECHO, false).await;
        assert!(received.starts_with("HTTP/1.1 200 "), "{received}");
    }

    /// Sends a request and reads the response.
    async fn echo(client: &mut DuplexStream) {
        client.write_all(ECHO.as_bytes()).await.unwrap();
        let mut received = Vec::new();
        while !received.ends_with(b"\r\n\r\nx") {
            assert_ne!(client.read_buf(&mut received).await.unwrap(), 0);
        }
        assert!(received.starts_with(b"HTTP/1.1 200 "));
    }

    #[tokio::test(start_paused = true)]
    async fn each_response_starts_the_idle_time_again() {
        let mut client = start(1 << 20);
        for _ in 0..3 {
            echo(&mut client).await;
            sleep(KEEP_ALIVE - RESOLUTION).await;
        }
        echo(&mut client).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_after_an_idle_time_gets_no_more_time_than_the_first() {
        let mut client = start(1 << 20);
        echo(&mut client).await;
        sleep(KEEP_ALIVE - RESOLUTION).await;
        client.write_all(b"GET /long HTTP/1.1\r\n").await.unwrap();
        sleep(HEAD_TIMEOUT - RESOLUTION).await;
        assert!(client.write_all(b"a: b\r\n").await.is_ok());
        sleep(2 * RESOLUTION).await;
        let mut rest = Vec::new();
        assert_eq!(client.read_to_end(&mut rest).await.unwrap(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_in_progress_is_not_idle() {
        let (mut client, server) = duplex(1 << 20);
        let long = KEEP_ALIVE + HEAD_TIMEOUT;
        let handler = async move || sleep(long).await;
        let router = Router::new().route("/slow", get(handler));
        tokio::spawn(connection(server, PEER, router, Arc::default(), KEEP_ALIVE));
        client
            .write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let mut received = [0; 16];
        client.read_exact(&mut received).await.unwrap();
        assert_eq!(&received, b"HTTP/1.1 200 OK\r");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_arrive_is_a_408() {
        let head = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n";
        for drips in [false, true] {
            let received = closed_after(REQUEST_TIMEOUT, head, drips).await;
            assert!(received.starts_with("HTTP/1.1 408 "), "{received}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_that_is_not_read_ends_the_connection() {
        let mut client = start(64);
        let request = "GET /long HTTP/1.1\r\nhost: x\r\n\r\n";
        client.write_all(request.as_bytes()).await.unwrap();
        sleep(WRITE_TIMEOUT - RESOLUTION).await;
        // The server has filled the buffer and waits.
        assert!(client.write_all(b"x").await.is_ok());
        sleep(2 * RESOLUTION).await;
        assert!(client.write_all(b"x").await.is_err());
    }
}
