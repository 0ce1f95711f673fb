//! Serves HTTP/1.1 or HTTP/2 on one connection, within limits.

use std::{error::Error, io::ErrorKind, net::IpAddr, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::{
    Request,
    body::Incoming,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use keywright_http_tower::ClientIp;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;

use crate::{
    activity::Activity,
    listen::Stream,
    places::Network,
    streams::Streams,
    timed_stream::{Limits, TimedStream},
};

/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// The size of hyper's read buffer, in bytes. The last read may go beyond it, so that heads of up
/// to about 192 KiB are accepted.
const MAX_HEAD_LENGTH: usize = 128 * 1024;

/// How long a client may leave a response unread.
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a connection of HTTP/2 may have requests in progress without a pause. The server then
/// asks the client for another connection. So a client that never reads a response does not hold it
/// forever.
const MAX_BUSY: Duration = Duration::from_secs(120);

/// How long a connection without a request in progress may take to end after the server has asked
/// for it. A client of HTTP/2 acknowledges this, and a head of HTTP/1.1 may still be arriving.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long requests in progress may then take: the time for a request, and to read its response.
const LAST_REQUESTS_TIMEOUT: Duration = Duration::from_secs(45);

/// The limits of a connection of HTTP/2. The HTTP/2 library derives more from them: it closes a
/// connection that sends too many CONTINUATION or small DATA frames.
mod http2 {
    /// The number of requests of a connection at a time.
    pub(super) const MAX_STREAMS: u32 = 100;

    /// The number of streams that the client may reset before the server has seen their requests
    /// (CVE-2023-44487).
    pub(super) const MAX_RESETS: usize = 20;

    /// The number of streams that the server may reset because of errors of the client.
    pub(super) const MAX_ERRORS: usize = 100;

    /// The length of the headers of a request, in bytes, with 32 bytes for each (RFC 9113, section
    /// 6.5.2).
    pub(super) const MAX_HEADERS_LENGTH: u32 = 32 * 1024;

    /// The number of bytes that a client may send before the server has read them, for each stream
    /// and for the connection.
    pub(super) const STREAM_WINDOW: u32 = 64 * 1024;
    pub(super) const CONNECTION_WINDOW: u32 = 256 * 1024;

    /// The number of bytes of a response that the server keeps until the client allows it to send
    /// them.
    pub(super) const SEND_BUFFER: usize = 64 * 1024;
}

/// The routes for the requests of a connection.
#[derive(Clone)]
pub(crate) struct Routes {
    pub(crate) router: Router,
    /// The routes for a request beyond the share of its client.
    pub(crate) overloaded: Router,
    pub(crate) streams: Arc<Streams>,
}

/// Serves a connection from a peer until it is closed. Closes it when it has been idle for
/// `keep_alive`, and asks it to end when `stop` changes.
pub(crate) async fn serve(
    stream: impl Stream,
    peer: Option<IpAddr>,
    routes: Routes,
    activity: Arc<Activity>,
    keep_alive: Duration,
    mut stop: watch::Receiver<()>,
) {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    let limits = Limits {
        head: HEAD_TIMEOUT,
        idle: keep_alive,
    };
    let stream = TimedStream::new(Box::pin(stream), Arc::clone(&activity), limits);
    let builder = builder(keep_alive);
    let service = {
        let activity = Arc::clone(&activity);
        let router = TowerToHyperService::new(routes.router);
        let overloaded = TowerToHyperService::new(routes.overloaded);
        let streams = routes.streams;
        service_fn(move |mut request: Request<Incoming>| {
            if let Some(peer) = peer {
                request.extensions_mut().insert(ClientIp(peer));
            }
            let begun = activity.begin(request.version());
            let is_only = begun.as_ref().is_none_or(|begun| begun.is_only());
            let permit = (!is_only).then(|| streams.take(Network::of(peer)));
            let response = match permit {
                Some(None) => overloaded.call(request),
                _ => router.call(request),
            };
            async move {
                let in_progress = begun.ok_or(ErrorKind::ConnectionAborted)?;
                let Ok(response) = response.await;
                Ok::<_, std::io::Error>(response.map(|body| in_progress.until_end_of(body, permit)))
            }
        })
    };
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = &mut connection => return log(ended),
        () = activity.http2_overdue(keep_alive, MAX_BUSY) => {}
        // The sender is dropped only when the server has stopped.
        _ = stop.changed() => {}
    }
    connection.as_mut().graceful_shutdown();
    let overdue = async {
        sleep(CLOSE_TIMEOUT).await;
        let _ = timeout(LAST_REQUESTS_TIMEOUT, activity.closed()).await;
    };
    tokio::select! {
        ended = &mut connection => log(ended),
        () = overdue => tracing::debug!("closed a connection that did not end"),
    }
}

fn log(ended: Result<(), Box<dyn Error + Send + Sync>>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended early");
    }
}

/// Returns a builder of connections of HTTP/1.1, or of HTTP/2 if the client starts with its preface
/// (RFC 9113, section 3.3).
fn builder(keep_alive: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // `TimedStream` limits the time for a head.
        .header_read_timeout(None)
        .keep_alive(!keep_alive.is_zero())
        .max_buf_size(MAX_HEAD_LENGTH);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(http2::MAX_STREAMS)
        .max_pending_accept_reset_streams(http2::MAX_RESETS)
        .max_local_error_reset_streams(http2::MAX_ERRORS)
        .max_header_list_size(http2::MAX_HEADERS_LENGTH)
        .initial_stream_window_size(http2::STREAM_WINDOW)
        .initial_connection_window_size(http2::CONNECTION_WINDOW)
        .max_send_buf_size(http2::SEND_BUFFER);
    builder
}

/// The limits of a connection, on tokio's paused clock.
#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use axum::{
        body::Bytes,
        routing::{get, post},
    };
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};

    use super::*;
    use crate::middleware::{REQUEST_TIMEOUT, observe};

    /// An allowance for the timers of tokio and hyper, which have a resolution of a millisecond.
    const RESOLUTION: Duration = Duration::from_millis(10);

    /// Longer than any other limit, and longer than the 60 seconds of common load balancers.
    const KEEP_ALIVE: Duration = Duration::from_secs(75);

    /// Serves a router on a connection.
    fn spawn(server: DuplexStream, router: Router) {
        let routes = Routes {
            router,
            overloaded: Router::new(),
            streams: Streams::new(10),
        };
        let peer = Some(Ipv4Addr::LOCALHOST.into());
        tokio::spawn(async move {
            let (_stop, stopped) = watch::channel(());
            serve(server, peer, routes, Arc::default(), KEEP_ALIVE, stopped).await;
        });
    }

    /// Starts a connection and returns the client's end.
    fn start(buffer: usize) -> DuplexStream {
        let (client, server) = duplex(buffer);
        let router = Router::new()
            .route("/long", get("x".repeat(100_000)))
            .route("/echo", post(async |body: String| body))
            .layer(axum::middleware::from_fn(observe));
        spawn(server, router);
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
        spawn(server, router);
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

    type Http2Client = h2::client::SendRequest<Bytes>;

    /// Starts a connection of HTTP/2 whose client sends a ping each ten seconds. Returns the
    /// client, and a task that ends when the server has closed the connection.
    async fn start_http2(window: u32) -> (Http2Client, tokio::task::JoinHandle<()>) {
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(window);
        let (client, mut connection) = builder.handshake(start(1 << 20)).await.unwrap();
        let mut pings = connection.ping_pong().unwrap();
        let pinging = tokio::spawn(async move {
            while pings.ping(h2::Ping::opaque()).await.is_ok() {
                sleep(Duration::from_secs(10)).await;
            }
        });
        let closed = tokio::spawn(async move {
            let _ = connection.await;
            pinging.abort();
        });
        (client.ready().await.unwrap(), closed)
    }

    /// Sends the head of a request, and returns the response and the stream for the body.
    fn send(
        client: &mut Http2Client,
        request: http::request::Builder,
    ) -> (h2::client::ResponseFuture, h2::SendStream<Bytes>) {
        client
            .send_request(request.body(()).unwrap(), false)
            .unwrap()
    }

    /// Waits until a connection is closed. Asserts that this happens between two times.
    async fn closed_within(
        earliest: Duration,
        latest: Duration,
        mut closed: tokio::task::JoinHandle<()>,
    ) {
        let early = timeout(earliest - RESOLUTION, &mut closed).await;
        assert!(early.is_err(), "closed before {earliest:?}");
        let late = timeout(latest - earliest + 2 * RESOLUTION, &mut closed).await;
        assert!(late.is_ok(), "open after {latest:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn pings_do_not_keep_an_idle_connection_of_http_2_open() {
        let (mut client, closed) = start_http2(65_535).await;
        for _ in 0..3 {
            let (response, mut body) = send(&mut client, Request::post("http://x/echo"));
            body.send_data(Bytes::from_static(b"x"), true).unwrap();
            assert_eq!(response.await.unwrap().status(), 200);
            // Longer than the limit for a head of HTTP/1.1.
            sleep(KEEP_ALIVE - Duration::from_secs(1)).await;
        }
        let left = Duration::from_secs(1);
        closed_within(left / 2, left + CLOSE_TIMEOUT, closed).await;
        assert!(client.ready().await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_of_http_2_without_a_request_is_closed() {
        let (_client, closed) = start_http2(65_535).await;
        closed_within(HEAD_TIMEOUT, HEAD_TIMEOUT, closed).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_of_http_2_that_does_not_arrive_is_a_408() {
        let (mut client, _closed) = start_http2(65_535).await;
        let (response, _body) = send(&mut client, Request::post("http://x/echo"));
        let response = timeout(REQUEST_TIMEOUT + RESOLUTION, response).await;
        assert_eq!(response.unwrap().unwrap().status(), 408);
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_of_http_2_that_is_never_read_does_not_hold_the_connection() {
        let (mut client, closed) = start_http2(0).await;
        let (response, mut body) = send(&mut client, Request::get("http://x/long"));
        body.send_data(Bytes::new(), true).unwrap();
        let unread = response.await.unwrap();
        assert_eq!(unread.status(), 200);
        let latest = MAX_BUSY + CLOSE_TIMEOUT + LAST_REQUESTS_TIMEOUT;
        closed_within(MAX_BUSY, latest, closed).await;
        drop(unread);
    }
}
