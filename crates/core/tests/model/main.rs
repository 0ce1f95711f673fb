//! The model check of the verifier's cache: the product's own sources of the lease and of the cache
//! over primitives that try out the orders in which threads may go on. A verification that begins
//! after a change was acknowledged, and after the bound where it was made through another handle,
//! never answers from before the change.
//!
//! `KEYWRIGHT_SCHEDULES=10000 cargo test --package keywright-core --test model` tries that
//! many schedules of each scenario, others each time.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

mod fault;
#[path = "../../src/key.rs"]
pub mod key;
mod meter;
mod model;
mod promise;
mod scenarios;
mod store;
mod sync;
mod time;
mod verifier;

// What the product's sources find in their own crate.
use keywright_core::{Environment, KeyId, Metadata, Name, Permissions, Timestamp, Workspace};

use crate::{
    fault::Fault,
    key::{Key, Status},
    model::{bites, holds},
};

macro_rules! scenarios_hold {
    ($($name:ident)*) => {
        /// Nothing is accepted that an acknowledged change forbids.
        mod holds {
            $(#[test]
            fn $name() {
                super::holds(super::scenarios::$name);
            })*
        }
    };
}

scenarios_hold! {
    revocation
    revocation_during_a_hash
    cascade
    rotation
    expiry
    eviction
    renaming
    rehash
    lease
    lease_of_all
    slow_answer
}

macro_rules! faults_bite {
    ($($name:ident: $fault:ident in $($scenario:ident)*;)*) => {
        /// With a fault planted the same check fails.
        mod bites {
            use super::*;
            $(#[test]
            fn $name() {
                $(bites(Fault::$fault, scenarios::$scenario);)*
            })*
        }
    };
}

faults_bite! {
    without_the_fence: NoFence in revocation cascade rotation expiry rehash;
    without_the_exchange: StoreForExchange in revocation;
    without_numbers_of_fills: FillsNotTold in revocation;
    without_marking_the_entry: EntryNotMarked in revocation cascade rotation expiry eviction renaming rehash lease;
    told_before_the_commit: ToldBeforeCommit in revocation cascade rotation expiry;
    told_after_the_acknowledgement: ToldAfterAcknowledgement in revocation cascade rotation expiry;
    extended_before_told: ExtendedBeforeTold in lease lease_of_all;
    extended_from_the_answer: ExtendedFromTheAnswer in slow_answer;
    a_clock_coarser_than_a_tick: CoarserThanATick in lease lease_of_all;
    the_lease_looked_at_after_the_entry: LeaseAfterEntry in lease lease_of_all;
    without_a_look_after_the_hash: NoLookAfterHash in revocation_during_a_hash;
}
