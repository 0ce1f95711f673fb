//! Keys and callers.

use std::{sync::Arc, time::Duration};

use keywright_core::{
    Caller, Config, Issued, Keywright, Name, NewKey, Permissions, Prefix, Scheme, Token,
    VerifyError, Workspace, store::KeyStore,
};
use keywright_store_postgres::PostgresStore;

/// How long a test waits for a state before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn workspace() -> Workspace {
    Workspace::parse("acme").unwrap()
}

pub(crate) fn operator() -> Caller {
    Caller::operator(workspace())
}

pub(crate) fn new_key() -> NewKey {
    NewKey::new(Name::parse("CI").unwrap()).with_permissions(Permissions::all())
}

/// Opens the library over a store. Secrets are hashed with HMAC, because the tests hash many.
pub(crate) async fn open(store: &Arc<PostgresStore>) -> Keywright {
    let config = Config::new(Prefix::parse("acme").unwrap()).with_scheme(Scheme::HmacSha256);
    let store = Arc::clone(store) as Arc<dyn KeyStore>;
    Keywright::open(config, store).await.unwrap()
}

pub(crate) async fn create(keys: &Keywright) -> Issued {
    keys.issuer().create(&operator(), new_key()).await.unwrap()
}

/// Verifies a token. `None` if the verifier could not decide.
pub(crate) async fn is_accepted(keys: &Keywright, token: &Token) -> Option<bool> {
    match keys.verifier().verify(token.expose().as_bytes()).await {
        Ok(_) => Some(true),
        Err(VerifyError::Denied(_)) => Some(false),
        Err(_) => None,
    }
}

/// Waits until a condition is true.
#[track_caller]
pub(crate) fn eventually<F: Future<Output = bool>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let end = std::time::Instant::now() + PATIENCE;
        while !condition().await {
            assert!(
                std::time::Instant::now() < end,
                "{caller}: waited for {what}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
