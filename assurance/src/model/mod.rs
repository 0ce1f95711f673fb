//! The reference model: the expected outcome of each call, computed in the most obvious way.
//!
//! The model numbers keys in the order in which they are created, because their ids are random. It
//! does not try to be fast, and it shares only a few plain types with the code under test.

mod addresses;
mod apply;
mod caller;
mod change;
mod event;
mod idempotency;
mod issue;
mod key;
mod last_used;
mod outcome;
mod queries;
mod state;
mod update;

pub use self::{
    event::{Changes, Event, EventActor, EventKind, EventNumber, EventQuery, Request, Transition},
    key::{Key, Millis, Number},
    last_used::LastUsed,
    outcome::{CallOutcome, ListQuery, Rejection, Verdict},
    state::Model,
};
