//! The bindings of idempotency keys to the keys that their first requests created.

use super::{
    caller::Principal,
    key::{Millis, Number},
};

/// The scope of an idempotency key: the caller, the operation, and the number of the idempotency
/// key.
pub(super) type Scope = (Principal, Operation, u8);

/// The operation that an idempotency key is sent with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Operation {
    Create,
    Rotate(Option<Number>),
}

/// The outcome of the first request with an idempotency key.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    /// The number of the request body.
    pub(super) request: u8,
    /// The key that the request created.
    pub(super) created: Number,
    /// When the binding expires.
    pub(super) expires_at: Millis,
}
