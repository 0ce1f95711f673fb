//! Tests that no secret leaks: tokens, peppers and passwords, whole and in pieces of 16 bytes,
//! verbatim, in hexadecimal, in base64, and as `Debug` formats bytes.
//!
//! * `types`: every public type and error is printed and serialised, or asserted at compile time to
//!   be a type that cannot be. The tests fail if a public type is missing here.
//! * `parsers`: the errors of each parser when its input is a token.
//! * `lifecycle`: the program with all logging enabled, over SQLite and over Redis, through the
//!   lifecycle of keys and through requests with a token in every wrong place. Then its responses,
//!   logs, metrics and files are searched.
//! * `postgres`: the same over PostgreSQL, whose log contains each statement with its parameters.
//! * `imported`: the program through the lifecycle of keys that another system issued, from the
//!   import on. Their tokens, hashes and aliases may not be in its output.
//! * `memory`: the memory of the running program. The secrets in it are counted, and those that
//!   must be gone are asserted to be. Run `cargo test --package keywright-assurance --test secrets
//!   memory` with `-- --nocapture` to print the counts.

mod attacks;
mod fixture;
mod imported;
mod lifecycle;
mod memory;
mod parsers;
mod postgres;
mod printing;
mod redis;
mod response;
mod server;
mod types;
