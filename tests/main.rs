//! Stories across the crates: the real program, real files, real sockets.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test"
)]

mod bad_requests;
mod command_line;
mod concurrency;
mod crash;
mod create;
mod first_run;
mod fleet;
mod isolation;
mod lifecycle;
mod shutdown;
mod support;
