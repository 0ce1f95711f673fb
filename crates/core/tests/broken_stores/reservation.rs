//! Stores that break clause 11.

use std::collections::HashMap;

use async_trait::async_trait;
use keywright_core::{
    MemoryStore, Timestamp,
    store::{KeyStore, Reservation, Reserved, StoreError},
};

use crate::{
    failed_clauses::assert_fails_only,
    fault::{Fault, Shared, pause},
};

/// A reservation that reports an earlier binding, but with the id of the request.
#[derive(Clone, Debug, Default)]
struct ReturnsRequestedId;

#[async_trait]
impl Fault for ReturnsRequestedId {
    async fn reserve(
        &self,
        inner: &MemoryStore,
        reservation: &Reservation,
        now: Timestamp,
    ) -> Result<Reserved, StoreError> {
        Ok(match inner.reserve(reservation, now).await? {
            Reserved::New => Reserved::New,
            Reserved::Earlier { .. } => Reserved::Earlier {
                id: reservation.id,
                fingerprint: reservation.fingerprint,
            },
        })
    }
}

#[test]
fn a_reservation_that_returns_the_wrong_id_is_caught() {
    assert_fails_only::<ReturnsRequestedId>(&["reservation"]);
}

/// A binding that includes the time at which it expires.
#[derive(Clone, Debug, Default)]
struct ExpiryIncluded;

#[async_trait]
impl Fault for ExpiryIncluded {
    async fn reserve(
        &self,
        inner: &MemoryStore,
        reservation: &Reservation,
        now: Timestamp,
    ) -> Result<Reserved, StoreError> {
        inner
            .reserve(
                reservation,
                Timestamp::from_millis(now.as_millis() - 1).unwrap(),
            )
            .await
    }
}

#[test]
fn a_binding_that_lasts_too_long_is_caught() {
    assert_fails_only::<ExpiryIncluded>(&["reservation"]);
}

/// A reservation that binds for a moment even if it expires at once.
#[derive(Clone, Debug, Default)]
struct AlwaysBinds;

#[async_trait]
impl Fault for AlwaysBinds {
    async fn reserve(
        &self,
        inner: &MemoryStore,
        reservation: &Reservation,
        now: Timestamp,
    ) -> Result<Reserved, StoreError> {
        let mut bound = reservation.clone();
        let moment = Timestamp::from_millis(now.as_millis() + 1).unwrap();
        bound.until = bound.until.max(moment);
        inner.reserve(&bound, now).await
    }
}

#[test]
fn a_check_that_binds_is_caught() {
    assert_fails_only::<AlwaysBinds>(&["reservation"]);
}

/// A reservation that checks for a binding, and writes without checking again.
#[derive(Clone, Debug, Default)]
struct ChecksBeforeWriting(Shared<HashMap<[u8; 32], Reservation>>);

#[async_trait]
impl Fault for ChecksBeforeWriting {
    async fn reserve(
        &self,
        _: &MemoryStore,
        reservation: &Reservation,
        now: Timestamp,
    ) -> Result<Reserved, StoreError> {
        let bound = self.0.with(|bound| bound.get(&reservation.key).cloned());
        if let Some(Reservation {
            id, fingerprint, ..
        }) = bound.filter(|bound| bound.until > now)
        {
            return Ok(Reserved::Earlier { id, fingerprint });
        }
        pause();
        self.0
            .with(|bound| bound.insert(reservation.key, reservation.clone()));
        Ok(Reserved::New)
    }
}

#[test]
fn two_new_reservations_of_one_key_are_caught() {
    assert_fails_only::<ChecksBeforeWriting>(&["reservation"]);
}
