//! Simulation of a thousand processes that verify keys of one store. The test compiles the
//! library's own sources over a simulated clock, network and store.
//!
//! The property: a verification that begins later than the store's bound after a revocation was
//! acknowledged does not accept the key, in any process. In the process that revoked it, no
//! verification does that begins after the acknowledgement.
//!
//! The test `model` covers the schedules of one process, and `orders` its memory orders.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test"
)]

mod feed;
#[path = "../../src/key.rs"]
pub mod key;
mod meter;
mod network;
mod process;
mod random;
mod simulation;
mod store;
mod sync;
mod time;
mod verifier;

// The names that the library's sources import from their crate.
use keywright_core::{
    AllowedIps, Attributes, Denied, Environment, KeyId, Metadata, Name, Owner, Permissions,
    Timestamp, VerifyError, Workspace,
};
mod hash {
    pub(crate) use keywright_core::{
        error::HashError,
        store::{Credential, StoredHash},
    };

    pub(crate) type PresentedSecret<'a> = &'a ();
}

use crate::{
    key::{Key, Status},
    simulation::{Fault, Feed, Parameters, Trouble, run},
};

/// A thousand processes, and five revocations a second.
const FLEET: Parameters = Parameters {
    feed: Feed::Polls,
    processes: 1_000,
    revocations_a_second: 5,
    troubles: Trouble::ALL,
    fault: None,
};

const FEEDS: [Feed; 2] = [Feed::Polls, Feed::Pushes];

#[test]
fn a_thousand_processes_reject_a_revoked_key_within_the_bound() {
    for feed in FEEDS {
        let outcome = run(Parameters { feed, ..FLEET });
        println!("{feed:?}: {outcome:?}");
        assert_eq!(outcome.violations, 0, "{feed:?}: {outcome:?}");
        // Caches were used, and the bound was needed.
        assert!(
            outcome.in_memory > outcome.in_store / 2,
            "{feed:?}: {outcome:?}"
        );
        assert!(!outcome.worst.is_zero(), "{feed:?}: {outcome:?}");
    }
}

#[test]
fn the_work_of_the_store_grows_linearly_with_the_processes() {
    for feed in FEEDS {
        let worked = |processes| {
            let outcome = run(Parameters {
                feed,
                processes,
                troubles: &[],
                ..FLEET
            });
            outcome.worked.as_secs_f64()
        };
        let (few, many) = (worked(100), worked(400));
        println!("{feed:?}: {few} s and {many} s");
        assert!((3.6..4.4).contains(&(many / few)), "{feed:?}: {few} {many}");
    }
}

#[test]
fn planted_faults_are_detected() {
    const SLOW: &[Trouble] = &[Trouble::SlowLink, Trouble::Cut];
    const CUT: &[Trouble] = &[Trouble::Cut];
    for (feed, fault, troubles) in [
        (Feed::Polls, Fault::ExtendedFromReply, SLOW),
        (Feed::Polls, Fault::NothingStaleAfterReconnect, CUT),
        (Feed::Polls, Fault::OwnCopyStaysFresh, &[]),
        (Feed::Pushes, Fault::NothingStaleAfterReconnect, CUT),
        (Feed::Pushes, Fault::OwnCopyStaysFresh, &[]),
    ] {
        let outcome = run(Parameters {
            feed,
            processes: 250,
            troubles,
            fault: Some(fault),
            ..FLEET
        });
        println!("{feed:?}, {fault:?}: {outcome:?}");
        assert!(outcome.violations > 0, "{feed:?}, {fault:?}: {outcome:?}");
    }
}
