//! Simulation of a thousand processes that verify keys of one store. The test compiles the
//! library's own sources over a simulated clock, network and store. `SCALING.md` describes the
//! results.
//!
//! The property: a verification that begins later than the store's bound after a revocation was
//! acknowledged does not accept the key, in any process. In the process that revoked it, no
//! verification does that begins after the acknowledgement.
//!
//! The test `model` covers the schedules of one process, and `orders` its memory orders.
//!
//! `KEYWRIGHT_SEED` sets another seed of the random numbers.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test with a simulated clock"
)]

mod costs;
mod feed;
mod fleet;
#[path = "../../src/key.rs"]
pub mod key;
mod meter;
mod network;
mod parameters;
mod process;
mod random;
mod store;
mod sync;
mod time;
mod verifier;
mod world;

use std::time::Duration;

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
    costs::Costs,
    fleet::{SPAN, run},
    key::{Key, Status},
    parameters::{Fault, Feed, Parameters, Trouble},
    world::KEYS,
};

/// A thousand processes, with every kind of trouble.
const FLEET: Parameters = Parameters {
    feed: Feed::Polls,
    processes: 1_000,
    revocations_a_second: 5,
    troubles: Trouble::ALL,
    calm: Duration::from_secs(8),
    fault: None,
};

const FEEDS: [Feed; 2] = [Feed::Polls, Feed::Pushes];

#[test]
fn a_thousand_processes_reject_a_revoked_key_within_the_bound() {
    let outcomes = run(FEEDS.map(|feed| Parameters { feed, ..FLEET }));
    for (feed, outcome) in FEEDS.into_iter().zip(outcomes) {
        println!("{feed:?}: {outcome:?}");
        assert_eq!(outcome.violations, 0, "{feed:?}: {outcome:?}");
        // Some processes used copies, and some accepted a key after its revocation.
        assert!(outcome.in_memory > 10_000, "{feed:?}: {outcome:?}");
        assert!(!outcome.worst.is_zero(), "{feed:?}: {outcome:?}");
    }
}

/// The formula is a sum of products, so the load is linear in each of its parameters.
#[test]
fn the_load_of_the_store_is_the_sum_that_scaling_md_computes() {
    for feed in FEEDS {
        let simulations =
            [(50, 5), (150, 5), (50, 15)].map(|(processes, revocations)| Parameters {
                feed,
                processes,
                revocations_a_second: revocations,
                troubles: &[],
                ..FLEET
            });
        for (parameters, outcome) in simulations.into_iter().zip(run(simulations)) {
            let span = SPAN.as_secs_f64();
            let (reads, revocations) = (
                f64::from(outcome.reads) / span,
                f64::from(outcome.revocations) / span,
            );
            let expected = Costs::of(feed).load(parameters, reads, revocations);
            let load = outcome.worked.as_secs_f64() / span;
            println!("{parameters:?}: a load of {load}, {expected} expected; {outcome:?}");
            assert!((0.9..1.1).contains(&(load / expected)), "{parameters:?}");
            // Each process reads a key when it first uses it, and again after it was revoked.
            let keys = KEYS as f64 + 2.0 * f64::from(outcome.revocations);
            let most = parameters.processes as f64 * keys;
            assert!(f64::from(outcome.reads) < 1.1 * most, "{parameters:?}");
        }
    }
}

/// Each fault is planted in a scenario in which it has an effect. Without the fault, the same
/// scenario has no violation.
#[test]
fn planted_faults_are_detected() {
    const SLOW: &[Trouble] = &[Trouble::SlowLink];
    const CUT_OFF: &[Trouble] = &[Trouble::Partition];
    for (feed, fault, troubles) in [
        (Feed::Polls, Fault::ExtendedFromReply, SLOW),
        (Feed::Polls, Fault::NothingStaleAfterReconnect, CUT_OFF),
        (Feed::Pushes, Fault::NothingStaleAfterReconnect, CUT_OFF),
        (Feed::Polls, Fault::OwnCopyStaysFresh, &[]),
        (Feed::Pushes, Fault::OwnCopyStaysFresh, &[]),
    ] {
        let [faulty, correct] = run([Some(fault), None].map(|fault| Parameters {
            feed,
            processes: 100,
            revocations_a_second: 10,
            troubles,
            calm: Duration::from_secs(1),
            fault,
        }));
        println!("{feed:?}, {fault:?}: {faulty:?}");
        assert!(faulty.violations > 0, "{feed:?}, {fault:?}: {faulty:?}");
        assert_eq!(correct.violations, 0, "{feed:?}: {correct:?}");
    }
}
