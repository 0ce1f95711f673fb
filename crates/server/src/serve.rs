//! `keywright serve`: the API over HTTP/1.1.

use std::{
    io::{IsTerminal, Write, stdout},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use axum::{Router, middleware, routing::get};
use http::{HeaderMap, StatusCode};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use keywright_core::{Keywright, Name, NewKey, Workspace};
use keywright_http_tower::{ApiKeys, AuthLayer, error_response};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tower_http::timeout::RequestBodyTimeoutLayer;

use crate::{
    cli::{FirstKey, LibraryOptions, ServeOptions},
    health, logging, observe,
    store::{self, Opened, StoreUrl},
    whoami,
};

/// How long a client may take to send the head of a request, and each piece of its body.
const READ_TIMEOUT: Duration = Duration::from_secs(15);

/// How long requests that are in flight when the server is told to stop may still take.
const GRACE: Duration = Duration::from_secs(20);

/// Serves until SIGTERM or Ctrl-C.
#[tokio::main]
pub(crate) async fn run(library: &LibraryOptions, options: ServeOptions) -> Result<()> {
    logging::start(options.log_format, options.log_level);
    // From here on a signal stops the server as it should be stopped, whatever it is doing.
    let stop = stop_signal()?;
    let opened = store::open(&StoreUrl::parse(&library.store)?, library).await?;
    // Before the first key is made: a server that cannot listen must not use it up.
    let listener = TcpListener::bind(options.listen).await.with_context(|| {
        format!(
            "cannot listen on {} (choose another address with --listen)",
            options.listen
        )
    })?;
    first_key(&opened.keys, options.first_key).await?;
    let address = listener.local_addr()?;
    tracing::info!("listening on http://{address}");
    serve(listener, router(&opened), stop).await
}

/// Makes the first key of an empty store and prints it, or says how to make one.
async fn first_key(keys: &Keywright, choice: FirstKey) -> Result<()> {
    let print = match choice {
        FirstKey::Print => true,
        FirstKey::Auto => stdout().is_terminal(),
        FirstKey::None => return Ok(()),
    };
    if !print {
        tracing::info!("if there is no key yet, make one: keywright keys create --name NAME");
        return Ok(());
    }
    let new = NewKey::named(Name::parse("First key")?);
    if let Some(issued) = keys
        .issuer()
        .create_first(Workspace::parse("default")?, new)
        .await?
    {
        tracing::info!(key = %issued.key.id, "this is the first key; it is shown this one time");
        let mut out = stdout().lock();
        writeln!(out, "{}", issued.token.expose())?;
        out.flush()?;
    }
    Ok(())
}

fn router(opened: &Opened) -> Router {
    let keys = &opened.keys;
    let base = "/v1/api-keys";
    let endpoints = ApiKeys::new(keys, base);
    let auth = AuthLayer::new(keys.verifier().clone());
    Router::new()
        .route_service(base, endpoints.clone())
        .route_service(&format!("{base}/"), endpoints.clone())
        .route_service(&format!("{base}/{{*rest}}"), endpoints)
        .route("/v1/whoami", get(whoami::whoami).layer(auth))
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
        .layer(RequestBodyTimeoutLayer::new(READ_TIMEOUT))
        .layer(middleware::from_fn(observe::observe))
}

/// Resolves on the first SIGTERM or Ctrl-C after this call.
fn stop_signal() -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Accepts connections until told to stop, then finishes what is in flight.
async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let mut stop = pin!(stop);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(READ_TIMEOUT);
    let connections = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, most likely: connections that end give some back.
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection = http.serve_connection(TokioIo::new(stream), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    tracing::info!("stopping");
    if tokio::time::timeout(GRACE, connections.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("some requests were not finished in time");
    }
    Ok(())
}
