//! The library over a store, as a server uses it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_executor::block_on;
use keywright_core::{
    Caller, Config, Denied, IssueError, Issued, Keywright, Name, NewKey, Permissions, Prefix,
    Reach, Scheme, VerifyError, Workspace,
    store::{KeyStore, StoreErrorKind},
};
use keywright_store_redis::RedisConfig;

use super::{Server, connect, now, wait_for, wait_until};

/// The result of verifying a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verification {
    Accepted,
    Revoked,
    Undecided,
}

/// Opens the library over a store with this configuration.
pub(crate) fn library(config: RedisConfig) -> Keywright {
    library_over(Arc::new(connect(config)))
}

pub(crate) fn library_over(store: Arc<dyn KeyStore>) -> Keywright {
    let prefix = Prefix::parse("sk").unwrap();
    wait_for("the library opens", || {
        let config = Config::new(prefix.clone()).with_scheme(Scheme::HmacSha256);
        block_on(Keywright::open(config, store.clone())).ok()
    })
}

pub(crate) fn operator() -> Caller {
    let workspace = Workspace::parse("default").unwrap();
    Caller::new(workspace, Permissions::all())
}

/// Repeats a step until the store is available, and returns its result.
///
/// The step must not depend on whether an unavailable attempt has changed anything.
#[track_caller]
pub(crate) fn retry<T>(mut step: impl FnMut() -> Result<T, IssueError>) -> Result<T, IssueError> {
    wait_for("the store is available", || match step() {
        Err(IssueError::Store(error)) if error.kind() == StoreErrorKind::Unavailable => None,
        result => Some(result),
    })
}

#[track_caller]
pub(crate) fn create(keys: &Keywright) -> Issued {
    let new = || NewKey::new(Name::parse("n").unwrap());
    retry(|| block_on(keys.issuer().create(&operator(), new()))).unwrap()
}

#[track_caller]
pub(crate) fn revoke(keys: &Keywright, issued: &Issued) {
    let operator = operator();
    let issuer = keys.issuer();
    // A repeat finds the key revoked.
    match retry(|| block_on(issuer.revoke(&operator, &issued.key.id, Reach::Key))) {
        Ok(_) | Err(IssueError::NotFound) => {}
        Err(error) => panic!("{error:?}"),
    }
}

/// Verifies once.
#[track_caller]
pub(crate) fn verify(keys: &Keywright, issued: &Issued) -> Verification {
    match block_on(keys.verifier().verify(issued.token.expose().as_bytes())) {
        Ok(_) => Verification::Accepted,
        Err(VerifyError::Denied(Denied::Revoked(_))) => Verification::Revoked,
        Err(VerifyError::Undecided(_)) => Verification::Undecided,
        Err(other) => panic!("{other:?}"),
    }
}

/// Verifies until the key is accepted or denied.
#[track_caller]
pub(crate) fn decide(keys: &Keywright, issued: &Issued) -> Verification {
    wait_for("the key is decided", || match verify(keys, issued) {
        Verification::Undecided => None,
        decided => Some(decided),
    })
}

/// Verifies until the key is not accepted. Returns how long after `since` that verification began,
/// and its result.
///
/// No verification that accepts may begin after the bound. Each verification begins after its time
/// is measured, so that a slow machine cannot fail this.
#[track_caller]
pub(crate) fn first_rejection(
    keys: &Keywright,
    issued: &Issued,
    since: Instant,
    bound: Duration,
) -> (Duration, Verification) {
    wait_for("the key is not accepted", || {
        let began = now() - since;
        match verify(keys, issued) {
            Verification::Accepted => {
                assert!(began <= bound, "accepted {began:?} after the bound began");
                None
            }
            other => Some((began, other)),
        }
    })
}

/// Verifies until the key is verified from the cache, so that the server counts no read.
#[track_caller]
pub(crate) fn warm_up(keys: &Keywright, issued: &Issued, server: &Server) {
    wait_until("the key is verified from the cache", || {
        assert_eq!(decide(keys, issued), Verification::Accepted);
        let before = reads(server);
        verify(keys, issued) == Verification::Accepted && reads(server) == before
    });
}

/// Returns the number of reads of records that the server has counted. Nothing else uses `MGET`.
pub(crate) fn reads(server: &Server) -> u64 {
    calls(server, "mget")
}

/// Returns how often the server has run a command.
pub(crate) fn calls(server: &Server, command: &str) -> u64 {
    let stats: String = server.run("INFO commandstats").unwrap();
    let prefix = format!("cmdstat_{command}:calls=");
    let line = stats
        .lines()
        .find_map(|line| line.strip_prefix(prefix.as_str()));
    line.map_or(0, |counts| {
        let (calls, _) = counts.split_once(',').unwrap();
        calls.parse().unwrap()
    })
}
