//! Keys that another system issued: their formats, their import, and their verification.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test")]

mod hashes;
mod import;
mod known_answers;
mod library;
mod lines;
mod management;
mod presets;
mod verification;
