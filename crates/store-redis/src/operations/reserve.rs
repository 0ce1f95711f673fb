//! Reserving an id for an idempotency key.

use std::sync::Arc;

use keywright_core::{
    KeyId, Timestamp,
    store::{Reservation, Reserved},
};
use redis::Value;

use crate::{
    error::{Error, Result},
    request::{Effect, Request},
    script::{self, Call},
    servers::Servers,
};

/// Binds a reservation, or returns the earlier binding.
pub(crate) async fn reserve(
    servers: &Arc<Servers>,
    reservation: &Reservation,
    now: Timestamp,
) -> Result<Reserved> {
    let names = servers.names();
    let Reservation { key, until, .. } = reservation;
    let call = Call {
        script: &script::RESERVE,
        keys: vec![names.reservations(key), names.reservation_ends(key)],
        arguments: vec![
            key.into(),
            encode_binding(reservation),
            until.as_millis().to_string().into(),
            now.as_millis().to_string().into(),
        ],
    };
    let request = Request::script(call, Effect::Once);
    match servers.run(request).await?.value {
        Value::Int(_) => Ok(Reserved::New),
        Value::BulkString(binding) => {
            let (fingerprint, id) =
                decode_binding(&binding).ok_or(Error::Malformed("reservation"))?;
            Ok(Reserved::Earlier { id, fingerprint })
        }
        _ => Err(Error::Malformed("script reply")),
    }
}

/// Encodes the fingerprint and the id.
pub(super) fn encode_binding(reservation: &Reservation) -> Vec<u8> {
    [&reservation.fingerprint[..], reservation.id.as_bytes()].concat()
}

/// Decodes the fingerprint and the id.
pub(super) fn decode_binding(binding: &[u8]) -> Option<([u8; 32], KeyId)> {
    let (fingerprint, id) = binding.split_first_chunk()?;
    Some((*fingerprint, KeyId::from_bytes(id).ok()?))
}
