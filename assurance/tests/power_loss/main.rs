//! Tests the SQLite store when the power is cut, the disk is full or fails, or the files are
//! damaged.
//!
//! `KEYWRIGHT_CUTS=1000` sets the number of power cuts, for a long run. Such a run draws a seed and
//! prints it with `--nocapture`. `KEYWRIGHT_SEED` repeats the cuts and choices of a run, but not
//! the order of its threads.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "these are tests"
)]

mod client;
mod cuts;
mod damage;
mod disk;
mod faults;
mod machine;
mod random;
mod vfs;
