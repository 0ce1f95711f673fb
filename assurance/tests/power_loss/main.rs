//! What is left of a store when the power is cut, the disk is full or fails, or its files are damaged.
//!
//! `KEYWRIGHT_CUTS=1000 cargo test -p keywright-assurance --test power_loss cuts -- --nocapture` is the long
//! run. `KEYWRIGHT_SEED` repeats the cuts and choices of a run, not the order of its threads.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "these are tests"
)]

mod chance;
mod client;
mod cuts;
mod damage;
mod disk;
mod faults;
mod machine;
mod vfs;

use std::{
    env,
    hash::{BuildHasher, RandomState},
};

/// A number of the environment.
fn setting(name: &str, default: impl FnOnce() -> u64) -> u64 {
    match env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name} is no number")),
        Err(_) => default(),
    }
}

fn any_seed() -> u64 {
    RandomState::new().hash_one(())
}
