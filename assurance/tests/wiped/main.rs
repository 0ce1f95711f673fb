//! Tests that our code leaves no secret in memory that it frees.
//!
//! An allocator searches each block that is freed, and each block that is still allocated at the
//! end, for every piece of every secret. The secrets are tokens, peppers, seeds, the output of
//! generators, and the MAC key of the cache.
//!
//! The secrets have to be known beforehand. So each scenario runs twice with the same seeds, and
//! the allocator searches during the second run. It only searches the heap. Data on the stack of a
//! thread stays there until it is overwritten (see SECURITY.md).
//!
//! `cargo test --package keywright-assurance --test wiped -- --nocapture` also prints what hyper
//! leaves.

#[expect(unsafe_code, reason = "the trait of an allocator is unsafe")]
mod probe;

mod library;
mod scenario;
mod services;
mod sockets;

#[global_allocator]
static PROBE: probe::Probe = probe::Probe;
