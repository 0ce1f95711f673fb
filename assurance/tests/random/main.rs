//! What is drawn at random is never drawn twice, and every character is as likely as every other.
//!
//! * `unique`: 1,000 threads, and 1,000 forked children of a process that has issued keys before, each issue
//!   10 keys: no id, no secret and no salt comes twice.
//! * `failing`: a source that fails, at once or later, issues nothing and stores nothing.
//! * `spread`: chi-square over the characters of secrets and ids, all together and at each place.
//!
//! `KEYWRIGHT_DRAWS=1000000 cargo test --package keywright-assurance --test random` draws that many secrets
//! for `spread`; 24,000 unless it is set, which are a million characters.

mod failing;
mod forked;
mod spread;
mod unique;
