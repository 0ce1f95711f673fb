//! Runs `keywright serve`.

use anyhow::{Context, Result};
use tokio::net::TcpListener;

use crate::{
    connections, first_key, logging,
    metrics::Metrics,
    options::{LibraryOptions, ServeOptions},
    rlimits,
    router::router,
    shutdown::ShutdownSignals,
    store::{self, StoreUrl},
};

/// Serves the API over HTTP/1.1 until a signal stops it.
#[tokio::main]
pub(crate) async fn run(library: &LibraryOptions, options: ServeOptions) -> Result<()> {
    logging::start(options.log_format, options.log_level);
    // Catch signals before anything else, so that the server always shuts down in order.
    let signals = ShutdownSignals::listen()?;
    let _file_size_signal = rlimits::ignore_file_size_signal()?;
    let metrics = Metrics::install()?;
    let opened = store::open(&StoreUrl::parse(&library.store)?, library).await?;
    // Bind before creating the first key: a server that cannot listen must not use it up.
    let listener = TcpListener::bind(options.listen).await.with_context(|| {
        format!(
            "cannot listen on {} (choose another address with --listen)",
            options.listen
        )
    })?;
    first_key::create(&opened, options.first_key).await?;
    let address = listener.local_addr()?;
    tracing::info!("listening on http://{address}");
    tokio::spawn(metrics.clone().run_upkeep());
    let router = router(&opened, options.rate_limit, metrics)?;
    let served = connections::serve(listener, router, signals).await;
    if let Err(error) = opened.keys.flush().await {
        tracing::error!(%error, "could not store when keys were last used");
    }
    served
}
