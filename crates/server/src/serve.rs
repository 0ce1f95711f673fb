//! Runs `keywright serve`.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    panic,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result};
use http::header::AUTHORIZATION;
use keywright_core::Keywright;
use keywright_http_tower::ClientIpLayer;
use tokio::time::timeout;

use crate::{
    connections::{self, Listener},
    console, error_line, exit_code, first_key,
    listen::{self, Inherited, ListenAddress, Sockets},
    logging::Log,
    metrics::Metrics,
    options::LibraryOptions,
    redact, rlimits,
    router::Routers,
    serve_options::ServeOptions,
    shutdown::Shutdown,
    store::{self, Opener, StoreUrl},
};

/// How long the server may take to store last uses when it stops. This and the time for requests in
/// flight add up to less than the shutdown deadline.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(4);

/// The address of clients if neither the options nor systemd provide one.
const DEFAULT_ADDRESS: ListenAddress =
    ListenAddress::Ip(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080));

/// Serves the API over HTTP/1.1 and HTTP/2 until a signal stops it, and returns the exit code of
/// the program.
pub(crate) fn run(library: &LibraryOptions, options: &ServeOptions) -> ExitCode {
    // The log has a thread.
    let inherited = Inherited::take();
    let log = Log::start(options.log_format, options.log_level);
    // The default hook would wait until standard error accepts the message.
    panic::set_hook(Box::new(|panic| {
        tracing::error!("{}", redact::tokens(&panic.to_string()));
    }));
    let exit = match serve(library, options, inherited, &log) {
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
async fn serve(
    library: &LibraryOptions,
    options: &ServeOptions,
    inherited: Inherited,
    log: &Log,
) -> Result<()> {
    // Catch signals before anything else, so that the server always shuts down in order.
    let last_log = log.clone();
    let mut shutdown = Shutdown::listen(options.shutdown_delay, move |overdue| {
        tracing::error!("stopped at once: {overdue}");
        last_log.flush();
    })?;
    let _file_size_signal = rlimits::ignore_file_size_signal()?;
    let metrics = Metrics::install(log.clone())?;
    let url = StoreUrl::parse(&library.store)?;
    let proxies = options.trusted_networks();
    let proxies = proxies.context("--trust-proxy names more than 32 networks")?;
    let opened = tokio::select! {
        opened = store::open(&url, library, Opener::Server(options)) => opened?,
        () = shutdown.requested() => {
            tracing::info!("stopped before the store was open");
            return Ok(());
        }
    };
    // Bind before creating the first key: a server that cannot listen must not use it up.
    let sockets = bind(options, inherited).await?;
    tracing::info!("opened {url}; for help, run keywright --help");
    first_key::create(&opened, options.first_key).await?;
    tokio::spawn(metrics.clone().run_upkeep());
    let separate_probes = !sockets.probes.is_empty();
    let mut client_ip = match proxies {
        Some(proxies) => ClientIpLayer::trusting(proxies),
        None => ClientIpLayer::direct(),
    };
    if options.trusts_unix_sockets() {
        client_ip = client_ip.with_trusted_unix_sockets();
    }
    let has_console = !options.no_console && options.auth_header.contains(&AUTHORIZATION);
    let console = has_console.then(|| console::console(url.revocation_bound(&library.postgres)));
    let routers = Routers::new(
        &opened,
        console,
        options,
        client_ip,
        metrics,
        shutdown.clone(),
        separate_probes,
    )?;
    if separate_probes {
        let addresses = listen::display_all(&sockets.probes);
        tracing::info!("health and metrics on {addresses}");
    }
    tracing::info!("listening on {}", listen::display_all(&sockets.clients));
    let clients = Listener::of_clients(
        sockets.clients,
        routers.api,
        routers.overloaded,
        options.max_connections,
        !separate_probes,
    );
    let probes = separate_probes.then(|| Listener::of_probes(sockets.probes, routers.probes));
    let served = connections::serve(
        clients,
        probes,
        options.keep_alive,
        options.shutdown_delay,
        shutdown,
    )
    .await;
    flush(&opened.keys).await;
    served
}

/// Returns the sockets from systemd and those of the options.
async fn bind(options: &ServeOptions, inherited: Inherited) -> Result<Sockets> {
    let mut sockets = inherited.into_sockets()?;
    let clients = match &options.listen[..] {
        [] if sockets.clients.is_empty() => &[DEFAULT_ADDRESS],
        addresses => addresses,
    };
    let clients = listen::bind(clients, "--listen").await?;
    sockets.clients.extend(clients);
    let probes = listen::bind(&options.admin_listen, "--admin-listen").await?;
    sockets.probes.extend(probes);
    Ok(sockets)
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
