//! Clause 11 broken.

use std::collections::HashMap;

use async_trait::async_trait;
use keywright_core::{KeyStore, MemoryStore, Reservation, Reserved, StoreError, Timestamp};

use crate::{
    caught::assert_caught,
    fault::{Fault, Shared, gap},
};

/// Tells of an earlier binding, but not of which.
#[derive(Clone, Debug, Default)]
struct TellsOwn;

#[async_trait]
impl Fault for TellsOwn {
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
fn a_reservation_that_tells_the_wrong_id_is_caught() {
    assert_caught::<TellsOwn>(&["reservation"]);
}

/// Is bound at its end still.
#[derive(Clone, Debug, Default)]
struct EndIncluded;

#[async_trait]
impl Fault for EndIncluded {
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
fn a_reservation_beyond_its_end_is_caught() {
    assert_caught::<EndIncluded>(&["reservation"]);
}

/// Binds for a moment where it was only asked.
#[derive(Clone, Debug, Default)]
struct BindsAskers;

#[async_trait]
impl Fault for BindsAskers {
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
fn a_question_that_binds_is_caught() {
    assert_caught::<BindsAskers>(&["reservation"]);
}

/// Looks for a binding, and then binds, whatever has happened in between.
#[derive(Clone, Debug, Default)]
struct LooksFirst(Shared<HashMap<[u8; 32], Reservation>>);

#[async_trait]
impl Fault for LooksFirst {
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
        gap();
        self.0
            .with(|bound| bound.insert(reservation.key, reservation.clone()));
        Ok(Reserved::New)
    }
}

#[test]
fn two_new_reservations_of_one_key_are_caught() {
    assert_caught::<LooksFirst>(&["reservation"]);
}
