//! What holds of verification with a cache, over stores that are watched while they are used.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test"
)]

mod answers;
mod cache;
mod changes;
mod clock;
mod flights;
mod hand;
mod last_use;
mod once;
mod races;
mod rehash;
mod watched;
mod world;
mod wrong_secrets;
