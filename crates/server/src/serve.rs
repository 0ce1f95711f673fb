//! Runs `keywright serve`.

use std::{net::SocketAddr, panic, process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use keywright_core::Keywright;
use keywright_http_tower::ClientIpLayer;
use tokio::{net::TcpListener, time::timeout};

use crate::{
    connections::{self, Listener},
    console, error_line, exit_code, first_key,
    logging::Log,
    metrics::Metrics,
    options::{LibraryOptions, ServeOptions},
    redact, rlimits,
    router::Routers,
    shutdown::Shutdown,
    store::{self, OldEvents, StoreUrl},
};

/// How long the server may take to store last uses when it stops. This and the time for requests in
/// flight add up to less than the shutdown deadline.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(4);

/// Serves the API over HTTP/1.1 until a signal stops it, and returns the exit code of the program.
pub(crate) fn run(library: &LibraryOptions, options: ServeOptions) -> ExitCode {
    let log = Log::start(options.log_format, options.log_level);
    // The default hook would wait until standard error accepts the message.
    panic::set_hook(Box::new(|panic| {
        tracing::error!("{}", redact::tokens(&panic.to_string()));
    }));
    let exit = match serve(library, options, &log) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log.write_line(&error_line(&error));
            exit_code::of_error(&error)
        }
    };
    log.flush();
    exit
}

#[tokio::main]
async fn serve(library: &LibraryOptions, options: ServeOptions, log: &Log) -> Result<()> {
    // Catch signals before anything else, so that the server always shuts down in order.
    let mut shutdown = Shutdown::listen(log.clone())?;
    let _file_size_signal = rlimits::ignore_file_size_signal()?;
    let metrics = Metrics::install(log.clone())?;
    let url = StoreUrl::parse(&library.store)?;
    let proxies = options.trusted_proxies();
    let proxies = proxies.context("--trust-proxy names more than 32 networks")?;
    let opened = tokio::select! {
        opened = store::open(&url, library, OldEvents::Delete) => opened?,
        () = shutdown.requested() => {
            tracing::info!("stopped before the store was open");
            return Ok(());
        }
    };
    // Bind before creating the first key: a server that cannot listen must not use it up.
    let socket = bind(options.listen, "--listen").await?;
    let admin_socket = match options.admin_listen {
        Some(address) => Some(bind(address, "--admin-listen").await?),
        None => None,
    };
    tracing::info!("opened {url}; for help, run keywright --help");
    first_key::create(&opened, options.first_key).await?;
    tokio::spawn(metrics.clone().run_upkeep());
    let separate_probes = admin_socket.is_some();
    let client_ip = match proxies {
        Some(proxies) => ClientIpLayer::trusting(proxies),
        None => ClientIpLayer::direct(),
    };
    let console =
        (!options.no_console).then(|| console::console(url.revocation_bound(&library.postgres)));
    let routers = Routers::new(
        &opened,
        console,
        options.rate_limit,
        client_ip,
        metrics,
        separate_probes,
    )?;
    if let Some(socket) = &admin_socket {
        let address = socket.local_addr()?;
        tracing::info!("health and metrics on http://{address}");
    }
    tracing::info!("listening on http://{}", socket.local_addr()?);
    let reserve = (!separate_probes).then_some(routers.reserve);
    let clients = Listener::of_clients(socket, routers.api, reserve);
    let probes = admin_socket.map(|socket| Listener::of_probes(socket, routers.probes));
    let served = connections::serve(clients, probes, options.keep_alive, shutdown).await;
    flush(&opened.keys).await;
    served
}

/// Binds to an address, which `option` sets.
async fn bind(address: SocketAddr, option: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address} (choose another address with {option})")
    })
}

/// Stores when keys were last used.
async fn flush(keys: &Keywright) {
    tracing::info!("closing the store");
    let error: anyhow::Error = match timeout(FLUSH_TIMEOUT, keys.flush()).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.into(),
        Err(elapsed) => elapsed.into(),
    };
    let error = format!("{error:#}");
    tracing::error!(%error, "could not store when keys were last used");
}
