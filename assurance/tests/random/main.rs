//! Tests that random values are never repeated, and that every character is equally likely.
//!
//! * `unique`: 1,000 threads, and 1,000 forked children of a process that has already issued keys,
//!   issue 10 keys each. No id, secret or salt is repeated.
//! * `failing`: with a source of random bytes that fails, at once or later, no key is issued or
//!   stored.
//! * `spread`: chi-square tests over the characters of secrets, at all positions together and at
//!   each position.
//!
//! `spread` draws 24,000 secrets, which are a million characters, from fixed seeds.
//! `KEYWRIGHT_DRAWS=1000000 cargo test --package keywright-assurance --test random` draws that many
//! from the operating system.

mod failing;
mod forked;
mod spread;
mod unique;
