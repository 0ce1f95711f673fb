//! Runs `keywright serve`.

use std::time::Duration;

use anyhow::{Context, Result};
use keywright_core::Keywright;
use tokio::{net::TcpListener, time::timeout};

use crate::{
    connections, first_key, logging,
    metrics::Metrics,
    options::{LibraryOptions, ServeOptions},
    rlimits,
    router::router,
    shutdown::Shutdown,
    store::{self, StoreUrl},
};

/// How long the last uses of keys may take to be stored when the server stops. With the time for
/// requests in flight this is less than the deadline of the whole stop.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(4);

/// Serves the API over HTTP/1.1 until a signal stops it.
#[tokio::main]
pub(crate) async fn run(library: &LibraryOptions, options: ServeOptions) -> Result<()> {
    logging::start(options.log_format, options.log_level);
    // Catch signals before anything else, so that the server always shuts down in order.
    let mut shutdown = Shutdown::listen()?;
    let _file_size_signal = rlimits::ignore_file_size_signal()?;
    let metrics = Metrics::install()?;
    let url = StoreUrl::parse(&library.store)?;
    let opened = tokio::select! {
        opened = store::open(&url, library) => opened?,
        () = shutdown.requested() => {
            tracing::info!("stopped before the store was open");
            return Ok(());
        }
    };
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
    let served = connections::serve(listener, router, shutdown).await;
    flush(&opened.keys).await;
    served
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
