//! The binding of an idempotency key to the id of a key.

use crate::{KeyId, Timestamp};

/// A binding of an idempotency key to the id of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Reservation {
    /// A digest of the idempotency key and its scope.
    pub key: [u8; 32],
    /// A digest of the request.
    pub fingerprint: [u8; 32],
    /// The id of the record that this request creates.
    pub id: KeyId,
    /// When the binding ends.
    pub until: Timestamp,
}

impl Reservation {
    /// Creates a reservation that binds `id` to `key` until the given time.
    #[must_use]
    pub const fn new(key: [u8; 32], fingerprint: [u8; 32], id: KeyId, until: Timestamp) -> Self {
        Self {
            key,
            fingerprint,
            id,
            until,
        }
    }
}

/// The result of a reservation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a binding is new or earlier")]
pub enum Reserved {
    /// The idempotency key is now bound to the id.
    New,
    /// The idempotency key was already bound. Contains the earlier binding.
    Earlier {
        /// The id of the earlier binding.
        id: KeyId,
        /// The fingerprint of the earlier request.
        fingerprint: [u8; 32],
    },
}
