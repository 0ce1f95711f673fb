//! Model check of the verification protocol and its cache. The test compiles the library's own
//! sources over primitives that switch threads at every operation, and runs many schedules.
//!
//! The property: a verification that begins after a change was acknowledged never accepts what the
//! change forbids. If the change was made through another handle, this also holds once the store's
//! bound has passed.
//!
//! `KEYWRIGHT_SCHEDULES=10000 cargo test --package keywright-core --test model` runs that many
//! random schedules of each scenario.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

mod fault;
#[path = "../../src/key.rs"]
pub mod key;
mod meter;
mod promise;
mod ready;
mod runner;
mod scenarios;
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

    pub(crate) type PresentedSecret<'a> = &'a crate::verifier::ModelSecret;
}

use crate::{
    fault::Fault,
    key::{Key, Status},
    runner::{bites, holds},
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
    narrowing_and_pause
    pause_during_a_hash
    removed_address
    cascade
    rotation
    expiry
    eviction
    eviction_of_imported_keys
    renaming
    rehash
    rehash_on_a_busy_pool
    lease
    lease_of_all
    lease_of_a_pause
    lease_of_narrowed_permissions
    slow_response
    planted_hash
    planted_hash_of_a_changed_record
    revocation_before_a_check
    rejected_check
    replacement_after_a_check
}

macro_rules! faults_bite {
    ($($name:ident: $fault:ident in $($scenario:ident)*;)*) => {
        /// The same check fails once a fault is planted.
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
    reading_before_the_stamp: ReadBeforeStamp in revocation narrowing_and_pause removed_address cascade rotation expiry
        rehash;
    a_store_instead_of_the_exchange: StoreInsteadOfExchange in revocation;
    fills_without_numbers: FillsNotNumbered in revocation;
    not_marking_the_entry: EntryNotMarked in revocation narrowing_and_pause removed_address cascade
        rotation expiry eviction eviction_of_imported_keys renaming rehash lease lease_of_a_pause
        planted_hash revocation_before_a_check rejected_check;
    publishing_before_the_commit: PublishedBeforeCommit in revocation narrowing_and_pause removed_address
        cascade rotation expiry;
    publishing_after_the_acknowledgement: PublishedAfterAcknowledgement in revocation narrowing_and_pause
        removed_address cascade rotation expiry;
    extending_before_publishing: ExtendedBeforePublished in lease lease_of_all lease_of_a_pause
        lease_of_narrowed_permissions;
    extending_from_the_response: ExtendedFromResponse in slow_response;
    a_clock_coarser_than_a_tick: CoarserThanATick in lease lease_of_all;
    checking_the_lease_after_the_entry: LeaseAfterEntry in lease lease_of_all lease_of_a_pause;
    not_checking_the_lease_after_the_hash: LeaseNotCheckedAfterHash in revocation_during_a_hash
        pause_during_a_hash;
    queueing_a_rehash_before_the_fill: QueuedBeforeFill in rehash_on_a_busy_pool;
    clearing_the_flag_after_queueing: ClearedAfterQueueing in rehash_on_a_busy_pool;
    forgetting_a_failed_check: FailedCheckForgotten in planted_hash planted_hash_of_a_changed_record
        rejected_check;
    not_marking_an_entry_by_tag: NotMarkedAsByTag in planted_hash planted_hash_of_a_changed_record
        rejected_check;
}
