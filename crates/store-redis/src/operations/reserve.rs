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
    let Reservation {
        key,
        fingerprint,
        id,
        until,
        ..
    } = reservation;
    let call = Call {
        script: &script::RESERVE,
        keys: vec![names.reservations(key), names.reservation_ends(key)],
        arguments: vec![
            key.into(),
            [fingerprint.as_slice(), id.as_bytes()].concat(),
            until.as_millis().to_string().into(),
            now.as_millis().to_string().into(),
        ],
    };
    let request = Request::script(call, Effect::Once);
    match servers.run(request).await?.value {
        Value::Int(_) => Ok(Reserved::New),
        Value::BulkString(binding) => decode_binding(&binding),
        _ => Err(Error::Malformed("script reply")),
    }
}

fn decode_binding(binding: &[u8]) -> Result<Reserved> {
    binding
        .split_first_chunk()
        .and_then(|(fingerprint, id)| {
            Some(Reserved::Earlier {
                id: KeyId::from_bytes(id).ok()?,
                fingerprint: *fingerprint,
            })
        })
        .ok_or(Error::Malformed("reservation"))
}
