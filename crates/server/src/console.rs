//! `/console`: the page on which people manage keys.

use std::time::Duration;

use axum::Router;
use keywright_console::Console;

const BASE: &str = "/console";

/// Returns the routes of the console. The page states that every server rejects a revoked key
/// within `revocation_bound`.
pub(crate) fn console(revocation_bound: Duration) -> Router {
    let console = Console::at(BASE)
        .for_api("/v1/api-keys")
        .with_revocation_bound(revocation_bound);
    // Each path template is a separate route, so that logs and metrics show the template.
    Console::PATHS
        .into_iter()
        .fold(Router::new(), |router, path| {
            router.route_service(&format!("{BASE}{path}"), console.clone())
        })
}
