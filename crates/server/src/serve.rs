//! `keywright serve`: the API over HTTP/1.1.

use std::{
    io::{IsTerminal, stdout},
    num::NonZeroU32,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use axum::{Extension, Router, middleware, routing::get};
use http::{HeaderMap, StatusCode};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use keywright_core::{Name, NewKey, Workspace};
use keywright_http_tower::{ApiKeys, AuthLayer, RateLimit, error_response};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::Semaphore,
};
use tokio_io_timeout::TimeoutStream;

use crate::{
    cli::{FirstKey, LibraryOptions, ServeOptions},
    files, health, logging,
    metrics::{self, Metrics},
    observe, openapi,
    store::{self, Opened, StoreUrl},
    unbuffered, whoami,
};

/// How long a client may take to send the head of a request, and how long it may keep a connection
/// without one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// Length of a request's head from which no more of it is read, in bytes. What is read last may end
/// beyond it: heads of up to about 192 KiB pass.
const MAX_HEAD_LENGTH: usize = 128 * 1024;

/// How long a client may leave an answer unread.
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);

/// How long after a stop connections still come in and may send their first request: clients that
/// connected just before it get their answer.
const LATECOMERS: Duration = Duration::from_millis(100);

/// Most connections at a time, if the system allows as many files; further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 1000;

/// Files that are kept for what is no connection of a client: the store's, and those of its servers.
const OTHER_FILES: usize = 100;

/// How long requests that are in flight when the server is told to stop may still take.
const GRACE: Duration = Duration::from_secs(20);

/// Serves until SIGTERM or Ctrl-C.
#[tokio::main]
pub(crate) async fn run(library: &LibraryOptions, options: ServeOptions) -> Result<()> {
    logging::start(options.log_format, options.log_level);
    // From here on a signal stops the server as it should be stopped, whatever it is doing.
    let stop = Stop::listen()?;
    let _failing_writes = files::outlive_limit()?;
    let metrics = Metrics::install()?;
    let opened = store::open(&StoreUrl::parse(&library.store)?, library).await?;
    // Before the first key is made: a server that cannot listen must not use it up.
    let listener = TcpListener::bind(options.listen).await.with_context(|| {
        format!(
            "cannot listen on {} (choose another address with --listen)",
            options.listen
        )
    })?;
    first_key(&opened, options.first_key).await?;
    let address = listener.local_addr()?;
    tracing::info!("listening on http://{address}");
    tokio::spawn(metrics.clone().keep_up());
    let router = router(&opened, options.rate_limit, metrics)?;
    let served = serve(listener, router, stop).await;
    if let Err(error) = opened.keys.flush().await {
        tracing::error!(%error, "when keys were last used could not be written");
    }
    served
}

/// Makes the first key of an empty store and prints it, or says how to make one.
async fn first_key(opened: &Opened, choice: FirstKey) -> Result<()> {
    let print = match choice {
        FirstKey::Print => true,
        FirstKey::Auto => stdout().is_terminal(),
        FirstKey::None => return Ok(()),
    };
    if !print {
        if opened.store.is_empty().await? {
            tracing::info!("there is no key yet; make one: keywright keys create --name NAME");
        }
        return Ok(());
    }
    let new = NewKey::new(Name::parse("First key")?);
    let first = opened
        .keys
        .issuer()
        .create_first(Workspace::parse("default")?, new)
        .await?;
    if let Some(issued) = first {
        let id = issued.key.id;
        unbuffered::write_line(issued.token.expose()).with_context(|| {
            format!("the first key {id} was made and could not be printed; make another one with keywright keys create")
        })?;
        tracing::info!(key = %id, "this is the first key; it is shown this one time");
    }
    Ok(())
}

/// Everything that is served; a rate limit of 0 is none.
fn router(opened: &Opened, rate_limit: u32, metrics: Metrics) -> Result<Router> {
    let keys = &opened.keys;
    let base = "/v1/api-keys";
    let mut endpoints = ApiKeys::at(keys, base);
    if let Some(requests) = NonZeroU32::new(rate_limit) {
        endpoints = endpoints.with_rate_limit(RateLimit::per_minute(requests));
    }
    let auth = AuthLayer::new(keys.verifier().clone());
    let document = Extension(openapi::Document::of(&endpoints)?);
    Ok(Router::new()
        .route_service(base, endpoints.clone())
        .route_service(&format!("{base}/"), endpoints.clone())
        .route_service(&format!("{base}/{{*rest}}"), endpoints)
        .route("/v1/whoami", get(whoami::whoami).layer(auth))
        .route("/openapi.json", get(openapi::openapi_json).layer(document))
        .route("/metrics", get(metrics::metrics).layer(Extension(metrics)))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .with_state(Arc::clone(&opened.store))
        .fallback(async |headers: HeaderMap| {
            let message = "there is nothing here";
            error_response(StatusCode::NOT_FOUND, "not_found", message, &headers)
                .map(axum::body::Body::new)
        })
        .method_not_allowed_fallback(async |headers: HeaderMap| {
            let message = "this path has no such method";
            let status = StatusCode::METHOD_NOT_ALLOWED;
            error_response(status, "method_not_allowed", message, &headers)
                .map(axum::body::Body::new)
        })
        .layer(middleware::from_fn(observe::observe)))
}

/// SIGTERM, SIGHUP and Ctrl-C, from the moment that this is made.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Stop {
    fn listen() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

/// Serves until told to stop, then finishes what is in flight, until told again.
async fn serve(listener: TcpListener, router: Router, mut stop: Stop) -> Result<()> {
    let connections = GracefulShutdown::new();
    {
        let mut accepting = pin!(accept_all(&listener, &router, &connections));
        tokio::select! {
            () = &mut accepting => {}
            () = stop.asked() => {}
        }
        tracing::info!("stopping");
        let _ = tokio::time::timeout(LATECOMERS, accepting).await;
    }
    drop(listener);
    tokio::time::sleep(LATECOMERS).await;
    tokio::select! {
        () = connections.shutdown() => Ok(()),
        () = tokio::time::sleep(GRACE) => bail!("some requests were not finished in time"),
        () = stop.asked() => bail!("stopped at once: some requests were not finished"),
    }
}

/// How many connections there may be. A server that has no file left for its store is of use to none of
/// its clients, so that there are fewer connections where there are few files.
fn places() -> usize {
    let files = files::ask_for((MAX_CONNECTIONS + OTHER_FILES) as u64);
    let files = usize::try_from(files).unwrap_or(usize::MAX);
    let places = files.saturating_sub(OTHER_FILES).clamp(1, MAX_CONNECTIONS);
    if places < MAX_CONNECTIONS {
        tracing::warn!("the system allows {files} open files: {places} connections at a time");
    }
    places
}

/// Accepts connections for ever, and serves each on a task of its own.
async fn accept_all(listener: &TcpListener, router: &Router, connections: &GracefulShutdown) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_LENGTH);
    let places = Arc::new(Semaphore::new(places()));
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await?;
            anyhow::Ok((listener.accept().await?.0, place))
        };
        let (stream, place) = match accepted.await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: connections that end give some back.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(WRITE_TIMEOUT));
        let service = TowerToHyperService::new(router.clone());
        let connection = http.serve_connection(TokioIo::new(Box::pin(stream)), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
}
