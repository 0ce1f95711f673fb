//! Registers a new key with the key that receives its secret.
//!
//! The new key and its receiver may be on different servers. So the store reads the
//! receiver, checks that it admits the new key, and registers the new id with it if it has not
//! changed since. After that, it stores the new record. From then on, a
//! cascade from the receiver finds the new key, or stores a tombstone in its place, so that the
//! insert fails. A registered id without a record is harmless.

use std::sync::Arc;

use keywright_core::{Key, KeyId, Timestamp, store::StoreErrorKind};
use redis::Value;

use super::{
    confirmation::Confirmation,
    run_script::run_script,
    stored::{read, read_bytes},
};
use crate::{
    error::Result,
    record::{self, Stored},
    request::Effect,
    script::{self, code},
    servers::Servers,
};

/// The maximum number of attempts. An attempt fails if the receiver's record changes between its
/// read and the registration.
const ATTEMPTS: u32 = 10;

/// Registers `new` with the key that receives its secret.
///
/// # Errors
///
/// `Conflict` unless the receiver [admits](Key::admits) the new key.
pub(super) async fn register(
    servers: &Arc<Servers>,
    receiver: &KeyId,
    new: &Key,
    now: Timestamp,
) -> Result<Confirmation> {
    let names = servers.names();
    for _ in 0..ATTEMPTS {
        let Some((bytes, record)) = read(servers, receiver).await? else {
            break;
        };
        if !record.key.admits(new, now) {
            break;
        }
        let (code, confirmation) = run_script(
            servers,
            &script::REGISTER,
            vec![names.record(receiver), names.received(receiver)],
            vec![bytes, new.id.as_bytes().into()],
            Effect::Idempotent,
        )
        .await?;
        if code == code::DONE {
            return Ok(confirmation);
        }
    }
    Err(StoreErrorKind::Conflict.into())
}

/// Returns why an id is taken: by another record, or by a tombstone that a revocation of the
/// receiver has stored since the registration.
pub(super) async fn taken(servers: &Arc<Servers>, id: &KeyId) -> Result<StoreErrorKind> {
    match read_bytes(servers, id).await? {
        Value::BulkString(bytes) if record::decode(*id, &bytes) == Ok(Stored::Tombstone) => {
            Ok(StoreErrorKind::Conflict)
        }
        _ => Ok(StoreErrorKind::AlreadyExists),
    }
}
