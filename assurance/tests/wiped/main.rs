//! What our code leaves behind of a secret in memory that it has given back: nothing. An allocator looks
//! at each block that is freed, and at those that are still there in the end, for every piece of every
//! secret: tokens, peppers, seeds, what a generator has drawn of a seed, and the key of the proofs.
//!
//! The secrets are known beforehand: a scene is played twice, with the same seeds, and the second time
//! the allocator looks. It looks at blocks of the heap alone: what passed over the stack of a thread stays
//! there until it is written over (SECURITY.md).
//!
//! `cargo test --package keywright-assurance --test wiped -- --nocapture` tells also what hyper leaves.

#[expect(unsafe_code, reason = "an allocator cannot be had without")]
mod probe;

mod library;
mod scene;
mod services;
mod sockets;

#[global_allocator]
static PROBE: probe::Probe = probe::Probe;
