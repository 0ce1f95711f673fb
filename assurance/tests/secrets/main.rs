//! No secret is where it does not belong: tokens, peppers and passwords, whole and in pieces of 16 bytes,
//! as they are, in hexadecimal, in base64, and as `Debug` prints bytes.
//!
//! * `types`: every public type and error is printed and serialised, or is asserted at compile time to be a
//!   type that cannot be. One that is missing here fails the test.
//! * `parsers`: what each parser says of a token that it is given.
//! * `life`: the program at its most talkative, over SQLite and over Redis, through the life of keys and
//!   through requests with a token in every wrong place; then all that it has answered, logged, counted
//!   and written is read.
//! * `remains`: what the memory of the running program holds afterwards. It is counted and printed, and what
//!   must be gone is asserted: `cargo test --package keywright-assurance --test secrets remains -- --nocapture`.

mod answer;
mod attacks;
mod life;
mod parsers;
mod printed;
mod redis;
mod remains;
mod server;
mod types;
mod world;
