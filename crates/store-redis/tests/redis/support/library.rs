//! The library over a store, as a server uses it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_executor::block_on;
use keywright_core::{
    Caller, Config, Denied, Issued, KeyStore, Keywright, Name, NewKey, Permissions, Prefix, Reach,
    Scheme, VerifyError, Workspace,
};
use keywright_store_redis::RedisConfig;

use super::{Server, comes_to, connect, now};

/// What comes of a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Accepted,
    Revoked,
    Undecided,
}

pub(crate) fn library(url: String) -> Keywright {
    let store = connect(RedisConfig::new(url));
    open(Arc::new(store))
}

pub(crate) fn open(store: Arc<dyn KeyStore>) -> Keywright {
    let config = Config::new(Prefix::parse("sk").unwrap()).with_scheme(Scheme::HmacSha256);
    block_on(Keywright::open(config, store)).unwrap()
}

pub(crate) fn operator() -> Caller {
    let workspace = Workspace::parse("default").unwrap();
    Caller::new(workspace, Permissions::all())
}

pub(crate) fn create(keys: &Keywright) -> Issued {
    let new = NewKey::new(Name::parse("n").unwrap());
    block_on(keys.issuer().create(&operator(), new)).unwrap()
}

pub(crate) fn revoke(keys: &Keywright, issued: &Issued) {
    let operator = operator();
    let issuer = keys.issuer();
    block_on(issuer.revoke(&operator, &issued.key.id, Reach::Key)).unwrap();
}

#[track_caller]
pub(crate) fn verify(keys: &Keywright, issued: &Issued) -> Outcome {
    match block_on(keys.verifier().verify(issued.token.expose().as_bytes())) {
        Ok(_) => Outcome::Accepted,
        Err(VerifyError::Denied(Denied::Revoked(_))) => Outcome::Revoked,
        Err(VerifyError::Undecided(_)) => Outcome::Undecided,
        Err(other) => panic!("{other:?}"),
    }
}

/// Verifies until it is not accepted, and tells when that verification had begun: none that is accepted
/// may have begun after the bound.
#[track_caller]
pub(crate) fn first_refused(
    keys: &Keywright,
    issued: &Issued,
    since: Instant,
    bound: Duration,
) -> (Duration, Outcome) {
    let mut began = Duration::ZERO;
    let mut outcome = Outcome::Accepted;
    let refused = comes_to(|| {
        began = now() - since;
        outcome = verify(keys, issued);
        if outcome == Outcome::Accepted {
            assert!(began <= bound, "accepted {began:?} after");
        }
        outcome != Outcome::Accepted
    });
    assert!(refused, "it is accepted for ever");
    (began, outcome)
}

/// Verifies until the answers come from memory: how many reads the server counts shows it.
#[track_caller]
pub(crate) fn heat(keys: &Keywright, issued: &Issued, server: &Server) {
    assert!(
        comes_to(|| {
            assert_eq!(verify(keys, issued), Outcome::Accepted);
            let before = reads(server);
            assert_eq!(verify(keys, issued), Outcome::Accepted);
            reads(server) == before
        }),
        "a key is never verified in memory"
    );
}

/// How often the server was asked for records: `MGET` is what no script and no other operation does.
pub(crate) fn reads(server: &Server) -> u64 {
    let stats: String = server.run("INFO commandstats").unwrap();
    let line = stats
        .lines()
        .find_map(|line| line.strip_prefix("cmdstat_mget:calls="));
    line.map_or(0, |counts| {
        let (calls, _) = counts.split_once(',').unwrap();
        calls.parse().unwrap()
    })
}
