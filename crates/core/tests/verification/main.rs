//! What holds of verification with a cache, over stores that are watched while they are used.

#![expect(clippy::unwrap_used, reason = "a test")]

mod cache;
mod changes;
mod clock;
mod flights;
mod last_use;
mod rehash;
mod world;
mod wrong_secrets;
